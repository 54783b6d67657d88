//! An installed package: its name, version and integrity as its installer recorded them, and a digest of all its files.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use cto_schema::{PackagePin, Sha256Digest, escape};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

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

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let shown = escape(path.as_os_str().as_encoded_bytes(), 300);
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_METADATA_BYTES + 1).read_to_end(&mut bytes))
        .map_err(|error| format!("{shown}: {error}"))?;
    if bytes.len() as u64 > MAX_METADATA_BYTES {
        return Err(format!("{shown} is too large"));
    }
    Ok(bytes)
}

fn json(path: &Path) -> Result<Value, String> {
    let shown = escape(path.as_os_str().as_encoded_bytes(), 300);
    serde_json::from_slice(&read(path)?).map_err(|error| format!("{shown}: {error}"))
}

fn pin(name: &str, version: &str, integrity: &str) -> Result<PackagePin, String> {
    let wrong = |error: cto_schema::InvalidText| error.to_string();
    Ok(PackagePin {
        name: name.parse().map_err(wrong)?,
        version: version.parse().map_err(wrong)?,
        integrity: integrity.parse().map_err(wrong)?,
    })
}

fn npm(root: &Path) -> Result<InstalledPackage, String> {
    let manifest = json(&root.join("package.json"))?;
    let text = |key: &str| manifest[key].as_str().unwrap_or_default().to_owned();
    let (name, version) = (text("name"), text("version"));
    let modules = root
        .ancestors()
        .find(|directory| directory.file_name().is_some_and(|name| name == "node_modules"));
    let modules = modules.ok_or("the package lies in no node_modules directory")?;
    let key = root
        .strip_prefix(modules)
        .map(|rest| format!("node_modules/{}", rest.display()))
        .unwrap_or_default();
    let beside = modules.parent().map(|parent| parent.join("package-lock.json"));
    let locks: Vec<PathBuf> = [Some(modules.join(".package-lock.json")), beside]
        .into_iter()
        .flatten()
        .collect();
    let integrity = locks.iter().filter(|lock| lock.exists()).find_map(|lock| {
        let document = json(lock).ok()?;
        let entry = &document["packages"][&key];
        (entry["version"].as_str() == Some(&version)).then(|| entry["integrity"].as_str().map(str::to_owned))?
    });
    let integrity = integrity.ok_or_else(|| {
        format!(
            "no lock file beside the package records the integrity of {name}@{version}; install it with npm install"
        )
    })?;
    Ok(InstalledPackage {
        pin: pin(&name, &version, &integrity)?,
        digest: tree_digest(root)?,
    })
}

fn distribution(root: &Path) -> Result<InstalledPackage, String> {
    let metadata = read(&root.join("METADATA"))?;
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
        pin: pin(
            &header("Name"),
            &header("Version"),
            &Sha256Digest::of(&record).to_string(),
        )?,
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
            file_digest(path).map_err(failed)?.1,
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

/// Returns size and digest of a file.
pub(super) fn file_digest(path: &Path) -> std::io::Result<(u64, Sha256Digest)> {
    let mut file = File::open(path)?;
    let (mut hasher, mut size, mut buffer) = (Sha256::new(), 0u64, vec![0; 1 << 16]);
    loop {
        let count = file.read(&mut buffer)?;
        if count == 0 {
            break;
        }
        size += count as u64;
        hasher.update(&buffer[..count]);
    }
    Ok((size, Sha256Digest::from_bytes(hasher.finalize().into())))
}

#[cfg(test)]
mod tests {
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
