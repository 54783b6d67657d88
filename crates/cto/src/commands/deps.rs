//! `cto deps`: dependency layers for clean rooms.

use cto_runner::{FreezeRequest, freeze_layer, list_layers};
use cto_schema::ExitClass;
use serde_json::json;

use crate::cli::{DepsAction, Global};
use crate::error::CommandError;
use crate::installation;
use crate::output::{Exit, Output};

pub(super) fn deps(global: &Global, action: &DepsAction, output: &Output) -> Result<Exit, CommandError> {
    let harness = installation::open(global)?;
    match action {
        DepsAction::Freeze { dir, name, mount } => {
            let default = dir
                .file_name()
                .unwrap_or(dir.as_os_str())
                .to_string_lossy()
                .into_owned();
            let name = name.clone().unwrap_or(default);
            output.note(&format!(
                "freezing {} …",
                cto_schema::escape(dir.as_os_str().as_encoded_bytes(), 300)
            ));
            let request = FreezeRequest {
                source: dir.clone(),
                name,
                mount: mount.clone(),
                owner: harness.engine_owner(),
            };
            let frozen = freeze_layer(&request, &harness.home.layers())
                .map_err(|error| CommandError::refused(crate::error::chain(&error)))?;
            for note in &frozen.notes {
                output.note(&format!("note: {note}"));
            }
            let layer = frozen.layer;
            if output.json() {
                output.document(&json!({ "layer": layer, "notes": frozen.notes }));
            } else {
                output.print(&format!(
                    "dependency_layers:\n  - name: {}\n    path: {}\n    mount: {}\n    digest: {}\n",
                    json!(layer.name),
                    json!(layer.path),
                    json!(layer.mount),
                    json!(layer.digest)
                ));
            }
        }
        DepsAction::List => {
            let layers = list_layers(&harness.home.layers()).map_err(|error| CommandError::failed(&error))?;
            if output.json() {
                let rows: Vec<_> = layers
                    .iter()
                    .map(|l| json!({ "digest": l.digest, "name": l.name, "source": l.source, "mount": l.mount, "files": l.files }))
                    .collect();
                output.document(&json!({ "layers": rows }));
            } else {
                let lines: String = layers
                    .iter()
                    .map(|l| {
                        format!(
                            "{}  {}  {}  {} files, {} bytes\n",
                            l.digest, l.name, l.mount, l.files, l.bytes
                        )
                    })
                    .collect();
                output.print(&lines);
            }
        }
    }
    Ok(Exit(ExitClass::Pass))
}
