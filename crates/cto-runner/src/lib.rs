//! One governed run end to end: facts, workspace, engine, supervision, collection, clean room, recovery.
