//! The layer store: `<root>/<digest hex>/{tree,manifest,meta.json}`, each made once and never changed.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Component, Path, PathBuf};

use cto_schema::{DependencyLayer, Sha256Digest, escape};
use rustix::fs::FlockOperation;

use crate::baseline::Lock;

use super::manifest::Manifest;
use super::{FreezeRequest, Frozen, LayerError, StoredLayer, copy, shown};

/// Beginning of the name of a layer that is being made.
const NEW: &str = ".new-";

/// Copies a directory into the store and returns its contract entry; the same content is kept once.
pub fn freeze(request: &FreezeRequest, layers_root: &Path) -> Result<Frozen, LayerError> {
    check_mount(request)?;
    // A link may be given for the directory itself; everything below is taken as it is.
    let source = fs::canonicalize(&request.source).map_err(|error| LayerError::file("find", &request.source, error))?;
    if !source.is_dir() {
        let problem = "it is not a directory; name the directory that holds the dependencies".to_owned();
        return Err(LayerError::Entry {
            path: shown(&source),
            problem,
        });
    }
    fs::create_dir_all(layers_root).map_err(|error| LayerError::file("make", layers_root, error))?;
    let inside = fs::canonicalize(layers_root).is_ok_and(|root| root.starts_with(&source));
    if inside {
        let problem = "the layer store is inside it; freeze a directory beside the store".to_owned();
        return Err(LayerError::Entry {
            path: shown(&source),
            problem,
        });
    }
    let work = tempfile::Builder::new()
        .prefix(NEW)
        .tempdir_in(layers_root)
        .map_err(|error| LayerError::file("make a directory in", layers_root, error))?;
    // Held until the rename, so that nobody takes the directory for a leftover.
    let lock = lock(work.path(), FlockOperation::NonBlockingLockExclusive)
        .map_err(|error| LayerError::file("lock", work.path(), error))?;
    let tree = work.path().join("tree");
    fs::create_dir(&tree).map_err(|error| LayerError::file("make", &tree, error))?;
    copy::copy(&source, &tree, request.owner)?;
    // The copy is what will be used, so the copy is what is hashed.
    let manifest = Manifest::of(&tree)?;
    let digest = manifest.digest();
    let mut notes = notes(&source, &request.mount);
    if manifest.files == 0 {
        notes.push("the directory holds no file, so the layer is empty".to_owned());
    }
    let meta = serde_json::json!({
        "name": request.name,
        "source": source.to_string_lossy(),
        "mount": request.mount.to_string_lossy(),
        "files": manifest.files,
        "bytes": manifest.bytes,
        "notes": notes,
    });
    write(&work.path().join("manifest"), manifest.text.as_bytes())?;
    write(&work.path().join("meta.json"), meta.to_string().as_bytes())?;
    let reused = publish(work, &layers_root.join(digest.hex()), layers_root)?;
    drop(lock);
    let layer = DependencyLayer {
        name: request.name.clone(),
        path: source.to_string_lossy().into_owned(),
        mount: request.mount.clone(),
        digest,
    };
    Ok(Frozen {
        layer,
        files: manifest.files,
        bytes: manifest.bytes,
        reused,
        notes,
    })
}

/// Returns the directory to mount for a contract's layer.
pub(crate) fn resolve(layers_root: &Path, layer: &DependencyLayer) -> Result<PathBuf, LayerError> {
    let tree = layers_root.join(layer.digest.hex()).join("tree");
    if fs::symlink_metadata(&tree).is_ok_and(|found| found.is_dir()) {
        return Ok(tree);
    }
    Err(LayerError::Missing {
        name: escape(layer.name.as_bytes(), 80),
        digest: layer.digest,
        source_path: if layer.path.is_empty() {
            "DIRECTORY".to_owned()
        } else {
            escape(layer.path.as_bytes(), 400)
        },
        mount: shown(&layer.mount),
    })
}

/// Hashes a stored layer again and compares it with its name.
pub fn check(layers_root: &Path, layer: &DependencyLayer) -> Result<(), LayerError> {
    let tree = resolve(layers_root, layer)?;
    let found = Manifest::of(&tree)?;
    if found.digest() == layer.digest {
        return Ok(());
    }
    let stored = fs::read_to_string(layers_root.join(layer.digest.hex()).join("manifest")).unwrap_or_default();
    let (was, is): (BTreeSet<&str>, BTreeSet<&str>) = (stored.lines().collect(), found.text.lines().collect());
    let first = was
        .symmetric_difference(&is)
        .next()
        .map_or("its manifest is gone", |line| *line);
    Err(LayerError::Damaged {
        digest: layer.digest,
        problem: format!("first difference: '{}'", escape(first.as_bytes(), 300)),
    })
}

/// Lists the layers of the store, by digest; an absent store is an empty one.
pub fn list(layers_root: &Path) -> Result<Vec<StoredLayer>, LayerError> {
    let mut found = Vec::new();
    for path in children(layers_root)? {
        let Some(digest) = path
            .file_name()
            .and_then(|name| name.to_str())
            .and_then(Sha256Digest::from_hex)
        else {
            continue;
        };
        let bytes = fs::read(path.join("meta.json")).unwrap_or_default();
        let meta: serde_json::Value = serde_json::from_slice(&bytes).unwrap_or_default();
        let text = |key: &str| {
            meta.get(key)
                .and_then(|value| value.as_str())
                .unwrap_or_default()
                .to_owned()
        };
        let number = |key: &str| meta.get(key).and_then(serde_json::Value::as_u64).unwrap_or_default();
        let (name, source, mount) = (text("name"), text("source"), text("mount"));
        found.push(StoredLayer {
            digest,
            name,
            source,
            mount,
            files: number("files"),
            bytes: number("bytes"),
        });
    }
    found.sort_by_key(|layer| layer.digest);
    Ok(found)
}

/// Removes every layer that is not in `used`, and what interrupted freezes left; returns the removed digests.
///
/// The caller knows which contracts and runs are alive; this function only knows the store.
pub(crate) fn remove_unused(
    layers_root: &Path,
    used: &BTreeSet<Sha256Digest>,
) -> Result<Vec<Sha256Digest>, LayerError> {
    let mut removed = Vec::new();
    for path in children(layers_root)? {
        let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
            continue;
        };
        match Sha256Digest::from_hex(name) {
            Some(digest) if !used.contains(&digest) => {
                // A half-removed layer must not carry the name of a whole one.
                let gone = layers_root.join(format!("{NEW}removed-{name}"));
                fs::rename(&path, &gone).map_err(|error| LayerError::file("remove", &path, error))?;
                fs::remove_dir_all(&gone).map_err(|error| LayerError::file("remove", &gone, error))?;
                removed.push(digest);
            }
            None if name.starts_with(NEW) && lock(&path, FlockOperation::NonBlockingLockExclusive).is_ok() => {
                fs::remove_dir_all(&path).map_err(|error| LayerError::file("remove", &path, error))?;
            }
            _ => {}
        }
    }
    removed.sort();
    Ok(removed)
}

fn children(root: &Path) -> Result<Vec<PathBuf>, LayerError> {
    match fs::read_dir(root) {
        Ok(entries) => Ok(entries.flatten().map(|entry| entry.path()).collect()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(LayerError::file("list", root, error)),
    }
}

fn check_mount(request: &FreezeRequest) -> Result<(), LayerError> {
    let mount = &request.mount;
    let plain = mount
        .components()
        .skip(1)
        .all(|part| matches!(part, Component::Normal(_)));
    let covers = mount == Path::new("/workspace") || mount.starts_with("/workspace/.git");
    if mount.is_absolute() && plain && mount.components().count() > 1 && !covers && mount.to_str().is_some() {
        return Ok(());
    }
    Err(LayerError::Mount {
        name: escape(request.name.as_bytes(), 80),
        mount: shown(mount),
    })
}

/// Gives the finished directory its name, durably; true when the name was there already.
fn publish(work: tempfile::TempDir, target: &Path, root: &Path) -> Result<bool, LayerError> {
    let fail = |error: std::io::Error| LayerError::file("keep", target, error);
    if target.join("tree").is_dir() {
        return Ok(true);
    }
    let directory = File::open(root).map_err(fail)?;
    // One flush of the file system instead of one for each of maybe 50,000 files.
    rustix::fs::syncfs(&directory).map_err(|error| fail(error.into()))?;
    let permissions = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    fs::set_permissions(work.path(), permissions).map_err(fail)?;
    match fs::rename(work.path(), target) {
        Ok(()) => {
            // The directory has another name now: there is nothing left to remove.
            let _gone = work.keep();
            directory.sync_all().map_err(fail)?;
            Ok(false)
        }
        // Another freeze of the same content was first.
        Err(_) if target.join("tree").is_dir() => Ok(true),
        Err(error) => Err(fail(error)),
    }
}

fn lock(path: &Path, operation: FlockOperation) -> std::io::Result<Lock> {
    Ok(Lock::take(File::open(path)?.into(), operation)?)
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), LayerError> {
    let fail = |error| LayerError::file("write", path, error);
    let mut file = File::create_new(path).map_err(fail)?;
    file.write_all(bytes).map_err(fail)?;
    file.sync_all().map_err(fail)
}

/// Says what the layer cannot promise: programs in a virtual environment name the place where it was made.
fn notes(source: &Path, mount: &Path) -> Vec<String> {
    let mut found = Vec::new();
    if source.join("pyvenv.cfg").exists() && source != mount {
        let made = shown(source);
        found.push(format!(
            "a virtual environment names its own place: mounted at '{}' instead of '{made}', its programs in bin/ may not start; mount it at '{made}', make it with 'uv venv --relocatable', or start programs as 'python -m …'",
            shown(mount)
        ));
    }
    for secret in [".npmrc", ".pypirc", "credentials", "credentials.toml", ".env"] {
        if source.join(secret).exists() {
            found.push(format!(
                "'{secret}' is in the directory and so in the layer: every sandbox that uses it can read it"
            ));
        }
    }
    found
}
