//! Kinds that only the server knows. The first line says how they are printed: JSONPath expressions with tabs between
//! them, a whole definition (`{…`), or nothing for the server's own Table. Each further line is an object or a Table.

#![no_main]

use std::collections::HashSet;

use bytes::Bytes;
use ekscope::kinds::{Encoding, KindInfo};
use ekscope_fuzz::Cluster;
use libfuzzer_sys::fuzz_target;
use serde_json::json;

/// The types that a printer column can have.
const TYPES: [&str; 5] = ["string", "integer", "number", "boolean", "date"];

fuzz_target!(|data: &[u8]| {
    let mut lines = data.split(|byte| *byte == b'\n');
    let first = lines.next().unwrap_or_default();
    let objects: Vec<Bytes> = lines.take(16).map(Bytes::copy_from_slice).collect();
    let definition = match first {
        [] => None,
        [b'{', ..] => Some(first.to_vec()),
        paths => {
            let columns: Vec<_> = String::from_utf8_lossy(paths)
                .split('\t')
                .zip(TYPES.iter().cycle())
                .map(|(path, kind)| json!({"name": path, "type": kind, "jsonPath": path}))
                .collect();
            let versions = json!([{"name": "v1", "additionalPrinterColumns": columns}]);
            Some(json!({"spec": {"versions": versions}}).to_string().into_bytes())
        }
    };
    for namespaced in [true, false] {
        let info = KindInfo {
            plural: "widgets".into(),
            kind: "Widget".into(),
            group: "x.io".into(),
            version: "v1".into(),
            namespaced,
            aliases: Vec::new(),
            sort: None,
            served: true,
            watchable: true,
            verbs: Vec::new(),
            own: false,
            joins: &[],
            origin: ekscope::kinds::Origin::Server,
        };
        let mut cluster = Cluster::of_generic(info, definition.as_deref());
        cluster.live_through(Encoding::Json, &objects);
        let (kind, _) = cluster.world.kinds().find(|(_, info)| info.plural == "widgets").expect("the kind");
        let columns = cluster.world.rows(kind).columns();
        let ids: HashSet<_> = columns.iter().map(|column| &column.id).collect();
        assert_eq!(ids.len(), columns.len(), "two columns with one id");
    }
});
