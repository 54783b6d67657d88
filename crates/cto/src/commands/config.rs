//! `cto config`: settings and where they came from.

use cto_schema::ExitClass;
use serde_json::{Value, json};

use crate::cli::{ConfigAction, Global};
use crate::error::CommandError;
use crate::installation::{self, Origin};
use crate::output::{Exit, Output};

pub(super) fn config(global: &Global, action: &ConfigAction, output: &Output) -> Result<Exit, CommandError> {
    let ConfigAction::Show = action;
    let (path, origin) = installation::home_path(global)?;
    let home = installation::open_home(global)?;
    let (settings, file) = installation::read_settings(global, &home)?;
    let mut rows: Vec<(String, Value, Origin)> = vec![("home".to_owned(), json!(path), origin)];
    let file_origin = match (&global.config, &file) {
        (Some(_), _) => Origin::Flag,
        (None, Some(_)) => Origin::File,
        (None, None) => Origin::Default,
    };
    rows.push(("config".to_owned(), json!(file), file_origin));
    let value = serde_json::to_value(&settings).unwrap_or_default();
    let default = serde_json::to_value(cto_runner::Settings::default()).unwrap_or_default();
    for (name, set) in value.as_object().into_iter().flatten() {
        let origin = if default[name] == *set {
            Origin::Default
        } else {
            Origin::File
        };
        rows.push((name.clone(), set.clone(), origin));
    }
    for (name, shown) in installation::shown_variables() {
        rows.push((name, json!(shown), Origin::Environment));
    }
    if output.json() {
        let rows: Vec<_> = rows
            .iter()
            .map(|(n, v, o)| json!({ "name": n, "value": v, "origin": o.word() }))
            .collect();
        output.document(&json!({ "settings": rows }));
    } else {
        for (name, value, origin) in &rows {
            output.print(&format!("{name:<14} {value}  ({})\n", origin.word()));
        }
        let here = std::path::Path::new("harness.yaml");
        if here.exists() {
            output.note("note: ./harness.yaml is not read; name it with --config if you trust it");
        }
    }
    Ok(Exit(ExitClass::Pass))
}
