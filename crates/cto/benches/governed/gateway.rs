//! What the model gateway costs, as its own benchmark measures it.

use serde_json::Value;

use crate::measure::run;
use crate::table::{Row, Table};
use crate::{Fallible, Options};

/// Has the gateway's benchmark measure and takes over its numbers.
pub(crate) fn gateway(options: &Options, table: &mut Table) -> Fallible<()> {
    let Some(program) = &options.gateway else {
        eprintln!("no gateway: left out, its benchmark is not named");
        return Ok(());
    };
    eprintln!("gateway");
    let words: &[&str] = if options.quick {
        &["--json", "--quick"]
    } else {
        &["--json"]
    };
    let numbers: Value = serde_json::from_str(&run(program, words, &options.place, &[])?.output)?;
    let number = |name: &str| {
        numbers[name]
            .as_f64()
            .ok_or_else(|| format!("the gateway's benchmark says no {name}"))
    };
    table.add(Row::most(
        "gateway: added to the first byte",
        "ms",
        1.0,
        number("first_byte_added_ms")?,
    ));
    for (what, name) in [
        ("gateway: 64 streams at a model's pace", "paced"),
        ("gateway: 64 streams as fast as they go", "unpaced"),
    ] {
        let (direct, through) = (
            number(&format!("{name}_direct_ms"))?,
            number(&format!("{name}_through_ms"))?,
        );
        table.add(Row::fact(&format!("{what}, direct"), "ms", direct));
        table.add(Row::fact(&format!("{what}, through it"), "ms", through));
        table.add(Row::most(what, "× direct", 1.03, through / direct));
    }
    table.add(Row::most("gateway: peak memory", "MiB", 30.0, number("peak_mib")?));
    Ok(())
}
