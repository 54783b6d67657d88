//! What harness and inner stage say to each other over the control socket.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::spec::{Limits, Observe};

/// A path or argument: JSON has no bytes, so each byte becomes the character of its number.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Bytes(pub(crate) Vec<u8>);

impl Bytes {
    pub(crate) fn path(&self) -> &Path {
        Path::new(OsStr::from_bytes(&self.0))
    }

    pub(crate) fn os(&self) -> OsString {
        OsString::from_vec(self.0.clone())
    }
}

impl From<&Path> for Bytes {
    fn from(path: &Path) -> Self {
        Self(path.as_os_str().as_bytes().to_vec())
    }
}

impl From<&PathBuf> for Bytes {
    fn from(path: &PathBuf) -> Self {
        Self::from(path.as_path())
    }
}

impl From<&OsString> for Bytes {
    fn from(string: &OsString) -> Self {
        Self(string.as_bytes().to_vec())
    }
}

impl From<&str> for Bytes {
    fn from(string: &str) -> Self {
        Self(string.as_bytes().to_vec())
    }
}

impl Serialize for Bytes {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let text: String = self.0.iter().map(|byte| char::from(*byte)).collect();
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for Bytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        text.chars()
            .map(|character| u8::try_from(u32::from(character)))
            .collect::<Result<_, _>>()
            .map(Self)
            .map_err(|_| serde::de::Error::custom("character above U+00FF"))
    }
}

/// How the view is built.
#[derive(Debug, Clone, Serialize, Deserialize, PartialEq, Eq)]
pub(crate) enum Method {
    /// Our own namespaces.
    Namespaces,
    /// The bubblewrap program builds the view and starts our init in it.
    Bubblewrap { program: Bytes, inner: Bytes },
    /// No view: the host's, with another uid where possible.
    Bare,
}

/// The workspace as the inner stage sees it.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum WorkspaceOrder {
    Overlay { lowers: Vec<Bytes> },
    Copied { sources: Vec<Bytes> },
    Host { path: Bytes },
}

/// A change; the contents lie one after another behind the order in its memfd.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ChangeOrder {
    Remove { path: Bytes },
    File { path: Bytes, mode: u32, length: u64 },
    Symlink { path: Bytes, target: Bytes },
    Directory { path: Bytes },
}

/// A further mount.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct BindOrder {
    pub(crate) source: Bytes,
    pub(crate) target: Bytes,
    pub(crate) read_only: bool,
}

/// What to run.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum ProgramOrder {
    Argv(Vec<Bytes>),
    Embedded { name: String, input: String },
}

/// The whole order, handed over in a sealed memfd.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Order {
    pub(crate) method: Method,
    /// Set when the harness is root and must give that up.
    pub(crate) drop_privileges: bool,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) workspace: WorkspaceOrder,
    /// In the home directory; their contents come first.
    pub(crate) home: Vec<ChangeOrder>,
    pub(crate) changes: Vec<ChangeOrder>,
    pub(crate) read_only: Vec<Bytes>,
    pub(crate) masks: Vec<Bytes>,
    pub(crate) listen: Option<u16>,
    pub(crate) binds: Vec<BindOrder>,
    pub(crate) program: ProgramOrder,
    /// `NAME=value`.
    pub(crate) env: Vec<Bytes>,
    pub(crate) limits: Limits,
    /// Where the inner stage writes `0` to join its control groups.
    pub(crate) cgroup_files: Vec<Bytes>,
    /// Set where no cgroup counts the processes.
    pub(crate) limit_processes: bool,
    pub(crate) observe: Observe,
    /// Absolute, as the program sees it.
    pub(crate) workdir: Bytes,
    /// Absolute, as init sees it.
    pub(crate) workspace_path: Bytes,
    /// Absolute, as init sees it.
    pub(crate) home_path: Bytes,
}

/// From the harness.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Command {
    /// The order is in the attached memfd; its JSON has this length.
    Order {
        length: u64,
    },
    Go,
    Terminate,
    Kill,
}

/// A process that outlived the program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Survivor {
    /// Its number inside the jail.
    pub pid: i32,
    /// Its short name, escaped.
    pub comm: String,
    /// Its arguments, escaped and capped.
    pub argv: String,
}

/// What only the locked-down child can see; the harness reads the rest in `/proc` itself.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(crate) struct Facts {
    /// Numbers of descriptors that an exec keeps.
    pub(crate) descriptors: Vec<i32>,
    pub(crate) landlock_abi: i32,
    pub(crate) landlock_status: String,
    /// What came of a write that only Landlock refuses.
    pub(crate) landlock_probe: String,
    pub(crate) init_owner: Option<u32>,
    pub(crate) keyring_joined: bool,
}

/// From the inner stage.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) enum Report {
    /// The jail could not be made.
    Refused {
        step: String,
        errno: i32,
        detail: String,
    },
    /// Upper directory (overlay only), workspace root, home and listener (where asked for) are attached, in this
    /// order.
    Exports {
        upper: bool,
        created: Vec<Bytes>,
        masked: Vec<Bytes>,
    },
    /// The child waits for `Go`; the listener is attached where it was asked for.
    Ready {
        facts: Facts,
    },
    ExecFailed {
        errno: i32,
    },
    Exited {
        code: Option<i32>,
        signal: Option<i32>,
        survivors: Vec<Survivor>,
        survivors_total: u64,
        user_us: u64,
        system_us: u64,
        max_rss_bytes: u64,
    },
    /// Init is reaped, so nothing of the jail runs any more.
    Empty {
        init_code: Option<i32>,
        init_signal: Option<i32>,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_byte_survives_the_wire() {
        let bytes = Bytes((0..=255).collect());
        let text = serde_json::to_string(&bytes).unwrap();
        assert_eq!(serde_json::from_str::<Bytes>(&text).unwrap(), bytes);
    }

    #[test]
    fn a_character_that_is_no_byte_is_refused() {
        assert!(serde_json::from_str::<Bytes>("\"\u{100}\"").is_err());
    }
}
