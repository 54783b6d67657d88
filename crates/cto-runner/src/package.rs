//! An installed package: its name, version and integrity as its installer recorded them, and a digest of all its files.

use std::fs::File;
use std::io::{self, Read as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use cto_schema::{PackagePin, Sha256Digest, escape};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::baseline::beneath::digest_reader;

/// The largest file that says what is installed.
const MAX_METADATA_BYTES: u64 = 64 << 20;
/// The largest package, in files.
const MAX_FILES: usize = 200_000;

/// What is installed at a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InstalledPackage {
    /// Name, version and integrity.
    pub pin: PackagePin,
    /// Digest over the path, mode and content of every file.
    pub digest: Sha256Digest,
}

/// Reads what is installed at `root`: the directory of an npm package, or the `.dist-info` of a Python distribution.
pub fn installed_package(root: &Path) -> Result<InstalledPackage, String> {
    let python = root.extension().is_some_and(|extension| extension == "dist-info");
    if python { distribution(root) } else { npm(root) }
}

/// What a package says of itself, and what its installer recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stated {
    /// Its name, which an alias may hide.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its integrity hash; `None` where no record holds one for this very version.
    pub(crate) integrity: Option<String>,
}

/// Reads what is stated of the npm package at `root`; `None` when there is none. What is there and cannot be read is an
/// error: nothing else is taken for it.
pub(crate) fn stated_npm(root: &Path) -> Result<Option<Stated>, String> {
    let Some(manifest) = json(&root.join("package.json"))? else {
        return Ok(None);
    };
    let text = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let mut integrity = None;
    let above = root.ancestors().skip(1);
    // A package may lie in another one's directory; the outer lock file knows both.
    for modules in above.filter(|directory| directory.ends_with("node_modules")) {
        let below = root.strip_prefix(modules).unwrap_or(root);
        let key = format!("node_modules/{}", below.display());
        let beside = modules.parent().unwrap_or(modules).join("package-lock.json");
        for lock in [modules.join(".package-lock.json"), beside] {
            let Some(document) = json(&lock)? else { continue };
            let entry = &document["packages"][&key];
            if integrity.is_none() && entry["version"].as_str() == Some(&version) {
                integrity = entry["integrity"].as_str().map(str::to_owned);
            }
        }
    }
    Ok(Some(Stated {
        name,
        version,
        integrity,
    }))
}

/// Reads what is stated of the Python distribution whose `.dist-info` is `root`. Its record lists every file with its
/// hash, so that the record's own digest stands for all.
pub(crate) fn stated_distribution(root: &Path) -> Result<Stated, String> {
    let metadata = present(&root.join("METADATA"))?;
    let metadata = String::from_utf8_lossy(&metadata);
    let header = |name: &str| {
        metadata
            .lines()
            .take_while(|line| !line.is_empty())
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .unwrap_or_default()
            .to_owned()
    };
    let record = read(&root.join("RECORD"))?;
    Ok(Stated {
        name: header("Name"),
        version: header("Version"),
        integrity: record.map(|bytes| Sha256Digest::of(&bytes).to_string()),
    })
}

/// Reads a file of a package; `None` when there is none.
fn read(path: &Path) -> Result<Option<Vec<u8>>, String> {
    let failed = |error: &io::Error| format!("{}: {error}", shown(path));
    let file = match File::open(path) {
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        other => other.map_err(|error| failed(&error))?,
    };
    let mut bytes = Vec::new();
    file.take(MAX_METADATA_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| failed(&error))?;
    if bytes.len() as u64 > MAX_METADATA_BYTES {
        return Err(format!("{} is too large", shown(path)));
    }
    Ok(Some(bytes))
}

fn present(path: &Path) -> Result<Vec<u8>, String> {
    read(path)?.ok_or_else(|| format!("{} does not exist", shown(path)))
}

fn json(path: &Path) -> Result<Option<Value>, String> {
    let bytes = read(path)?;
    let parsed = bytes.map(|bytes| serde_json::from_slice(&bytes)).transpose();
    parsed.map_err(|error| format!("{}: {error}", shown(path)))
}

fn shown(path: &Path) -> String {
    escape(path.as_os_str().as_encoded_bytes(), 300)
}

fn pin(stated: &Stated, without: &str) -> Result<PackagePin, String> {
    let wrong = |error: cto_schema::InvalidText| error.to_string();
    let Some(integrity) = &stated.integrity else {
        return Err(format!(
            "no {} records the integrity of {}@{}",
            without, stated.name, stated.version
        ));
    };
    Ok(PackagePin {
        name: stated.name.parse().map_err(wrong)?,
        version: stated.version.parse().map_err(wrong)?,
        integrity: integrity.parse().map_err(wrong)?,
    })
}

fn npm(root: &Path) -> Result<InstalledPackage, String> {
    let stated = stated_npm(root)?.ok_or_else(|| format!("{} does not exist", shown(&root.join("package.json"))))?;
    if !root.ancestors().any(|directory| directory.ends_with("node_modules")) {
        return Err("the package lies in no node_modules directory".to_owned());
    }
    Ok(InstalledPackage {
        pin: pin(&stated, "lock file beside the package")
            .map_err(|why| format!("{why}; install it with npm install"))?,
        digest: tree_digest(root)?,
    })
}

fn distribution(root: &Path) -> Result<InstalledPackage, String> {
    let stated = stated_distribution(root)?;
    let record = present(&root.join("RECORD"))?;
    let site = root.parent().ok_or("the distribution lies in no directory")?;
    let mut hasher = Sha256::new();
    for line in String::from_utf8_lossy(&record).lines() {
        // path,hash,size: a path with a comma is quoted.
        let path = match line.strip_prefix('"') {
            Some(rest) => rest.split('"').next().unwrap_or_default(),
            None => line.split(',').next().unwrap_or_default(),
        };
        // Caches of the interpreter come and go.
        if path.is_empty() || path.ends_with(".pyc") {
            continue;
        }
        add_file(&mut hasher, &site.join(path), path.as_bytes())?;
    }
    Ok(InstalledPackage {
        pin: pin(&stated, "RECORD")?,
        digest: Sha256Digest::from_bytes(hasher.finalize().into()),
    })
}

/// Returns a digest over every file and link below a directory, in the order of their names.
fn tree_digest(root: &Path) -> Result<Sha256Digest, String> {
    let mut hasher = Sha256::new();
    let (mut pending, mut files) = (vec![root.to_owned()], Vec::new());
    while let Some(directory) = pending.pop() {
        let failed = |error: std::io::Error| {
            let shown = escape(directory.as_os_str().as_encoded_bytes(), 300);
            format!("{shown}: {error}")
        };
        for entry in std::fs::read_dir(&directory).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if entry.file_type().map_err(failed)?.is_dir() {
                pending.push(entry.path());
            } else {
                files.push(entry.path());
            }
            if files.len() + pending.len() > MAX_FILES {
                return Err(format!("the package has more than {MAX_FILES} files"));
            }
        }
    }
    files.sort();
    for file in files {
        let name = file.strip_prefix(root).unwrap_or(&file).as_os_str().as_bytes().to_vec();
        add_file(&mut hasher, &file, &name)?;
    }
    Ok(Sha256Digest::from_bytes(hasher.finalize().into()))
}

fn add_file(hasher: &mut Sha256, path: &Path, name: &[u8]) -> Result<(), String> {
    let failed = |error: std::io::Error| {
        let shown = escape(path.as_os_str().as_encoded_bytes(), 300);
        format!("{shown}: {error}")
    };
    let meta = std::fs::symlink_metadata(path).map_err(failed)?;
    let (kind, digest) = if meta.is_symlink() {
        let target = std::fs::read_link(path).map_err(failed)?;
        (b'l', Sha256Digest::of(target.as_os_str().as_bytes()))
    } else if meta.is_file() {
        let executable = meta.permissions().mode() & 0o111 != 0;
        (
            if executable { b'x' } else { b'f' },
            digest_reader(File::open(path).map_err(failed)?).map_err(failed)?.0,
        )
    } else {
        return Err(failed(std::io::Error::other("it is neither a file nor a link")));
    };
    hasher.update((name.len() as u64).to_be_bytes());
    hasher.update(name);
    hasher.update([kind]);
    hasher.update(digest.as_bytes());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;
    use crate::baseline::sample::write;

    fn npm_package(root: &Path) -> PathBuf {
        let package = root.join("node_modules/@scope/agent");
        std::fs::create_dir_all(package.join("lib")).unwrap();
        write(
            &package.join("package.json"),
            r#"{"name": "@scope/agent", "version": "1.2.3"}"#,
        );
        write(&package.join("cli.js"), "x");
        write(&package.join("lib/helper.js"), "y");
        let integrity = format!("sha512-{}", data_encoding::BASE64.encode(&[7; 64]));
        let lock = serde_json::json!({"packages": {"node_modules/@scope/agent": {"version": "1.2.3", "integrity": integrity}}});
        write(&root.join("node_modules/.package-lock.json"), lock.to_string());
        package
    }

    #[test]
    fn an_npm_package_is_known_by_its_lock_file_and_all_its_files() {
        let place = tempfile::tempdir().unwrap();
        let package = npm_package(place.path());
        let first = installed_package(&package).unwrap();
        assert_eq!(first.pin.version.as_str(), "1.2.3");
        assert_eq!(installed_package(&package).unwrap(), first);
        write(&package.join("lib/helper.js"), "changed");
        assert_ne!(installed_package(&package).unwrap().digest, first.digest);
        write(&package.join("lib/helper.js"), "y");
        write(&package.join("more.js"), "");
        assert_ne!(installed_package(&package).unwrap().digest, first.digest);
        write(
            &package.join("package.json"),
            r#"{"name": "@scope/agent", "version": "1.2.4"}"#,
        );
        assert!(installed_package(&package).unwrap_err().contains("lock file"));
    }

    #[test]
    fn a_python_distribution_is_known_by_its_record() {
        let place = tempfile::tempdir().unwrap();
        let info = place.path().join("agent-2.0.dist-info");
        std::fs::create_dir_all(place.path().join("agent")).unwrap();
        std::fs::create_dir(&info).unwrap();
        write(
            &info.join("METADATA"),
            "Metadata-Version: 2.1\nName: agent\nVersion: 2.0\n\nVersion: 9\n",
        );
        write(
            &info.join("RECORD"),
            "agent/main.py,sha256=x,1\nagent/gone.pyc,,\nagent-2.0.dist-info/RECORD,,\n",
        );
        write(&place.path().join("agent/main.py"), "x");
        let first = installed_package(&info).unwrap();
        assert_eq!((first.pin.name.as_str(), first.pin.version.as_str()), ("agent", "2.0"));
        write(&place.path().join("agent/main.py"), "y");
        assert_ne!(installed_package(&info).unwrap().digest, first.digest);
        std::fs::remove_file(place.path().join("agent/main.py")).unwrap();
        assert!(installed_package(&info).unwrap_err().contains("main.py"));
    }
}
