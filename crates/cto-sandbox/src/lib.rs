//! Jails that the kernel keeps, and the write set that they leave.
