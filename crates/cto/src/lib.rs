//! The program: arguments, printing, exit codes.
