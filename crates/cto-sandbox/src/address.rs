//! Where a process of the jail wanted to connect to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a process wanted to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Address {
    /// An internet address.
    Internet {
        /// The host.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// A Unix socket: its path, or its abstract name behind a zero byte.
    Unix {
        /// The name.
        name: Vec<u8>,
    },
    /// Another family.
    Other {
        /// Its number.
        family: u16,
    },
}

impl Address {
    /// Tells whether a name is looked up: without a resolver of its own a program asks port 53 of the loopback address.
    ///
    /// Nobody in a jail may listen there, so the lookup always fails; it is an attempt to reach somebody else.
    pub fn is_name_lookup(&self) -> bool {
        matches!(self, Self::Internet { port: 53, .. })
    }

    /// Tells whether the address stays inside the network namespace.
    pub fn is_local(&self) -> bool {
        match self {
            Self::Internet { .. } if self.is_name_lookup() => false,
            Self::Internet { ip, .. } => {
                let ip = ip.to_canonical();
                ip.is_loopback() || ip.is_unspecified()
            }
            Self::Unix { .. } => true,
            // Unspecified dissolves an association; netlink talks to the own namespace.
            Self::Other { family } => matches!(family, 0 | 16),
        }
    }
}

/// Reads a socket address as the kernel would.
pub(crate) fn parse_address(bytes: &[u8]) -> Option<Address> {
    let family = u16::from_le_bytes(bytes.get(..2)?.try_into().ok()?);
    let port = || Some(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?));
    Some(match family {
        1 => Address::Unix {
            name: unix_name(bytes.get(2..)?),
        },
        2 => {
            let octets: [u8; 4] = bytes.get(4..8)?.try_into().ok()?;
            Address::Internet {
                ip: Ipv4Addr::from(octets).into(),
                port: port()?,
            }
        }
        10 => {
            let octets: [u8; 16] = bytes.get(8..24)?.try_into().ok()?;
            Address::Internet {
                ip: Ipv6Addr::from(octets).into(),
                port: port()?,
            }
        }
        _ => Address::Other { family },
    })
}

fn unix_name(bytes: &[u8]) -> Vec<u8> {
    if bytes.first() == Some(&0) {
        return bytes.to_vec();
    }
    bytes.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(bytes: &[u8]) -> bool {
        parse_address(bytes).unwrap().is_local()
    }

    #[test]
    fn only_what_stays_inside_is_local() {
        assert!(local(&[2, 0, 0, 80, 127, 9, 9, 9]));
        assert!(local(&[2, 0, 0, 80, 0, 0, 0, 0]));
        assert!(!local(&[2, 0, 0, 80, 169, 254, 169, 254]));
        let mut mapped = [0; 28];
        mapped[0] = 10;
        mapped[18..24].copy_from_slice(&[255, 255, 8, 8, 8, 8]);
        assert!(!local(&mapped), "a mapped address is the address that it maps");
        mapped[20] = 127;
        assert!(local(&mapped));
        assert!(!local(&[40, 0, 0, 0]), "vsock leaves the namespace");
        assert!(
            !local(&[2, 0, 0, 53, 127, 0, 0, 1]),
            "a name is looked up to reach somebody else"
        );
    }

    #[test]
    fn an_address_that_is_cut_off_is_none() {
        for length in 0..8 {
            let bytes = [2, 0, 0, 80, 1, 2, 3, 4];
            assert!(parse_address(&bytes[..length]).is_none());
        }
    }

    #[test]
    fn an_abstract_name_keeps_its_zero() {
        let name = |bytes: &[u8]| match parse_address(bytes) {
            Some(Address::Unix { name }) => name,
            other => panic!("{other:?}"),
        };
        assert_eq!(name(b"\x01\0/run/x\0junk"), b"/run/x");
        assert_eq!(name(b"\x01\0\0x\0y"), b"\0x\0y");
    }
}
