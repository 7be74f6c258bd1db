//! Custom resource definitions: what they define. Enter shows the objects.

use bytes::Bytes;

use super::{
    At, Decoder, Definition, Drill, Kind, Wired,
    wire::{ObjectMeta, text, wire},
};
use crate::store::{
    intern::{Interner, Sym},
    value::{Health, Value},
};

pub struct CustomResourceDefinition;

wire! {
    pub struct DefinitionObject {
        #[prost(message, tag = "1")] pub metadata: Option<ObjectMeta>,
        #[prost(message, tag = "2")] pub spec: Option<DefinitionSpec>,
        #[prost(message, tag = "3")] pub status: Option<DefinitionStatus>,
    }

    pub struct DefinitionSpec {
        #[prost(bytes = "bytes", tag = "1")] pub group: Bytes,
        #[prost(message, tag = "3")] pub names: Option<DefinitionNames>,
        #[prost(bytes = "bytes", tag = "4")] pub scope: Bytes,
        #[prost(message, repeated, tag = "7")] pub versions: Vec<DefinitionVersion>,
    }

    pub struct DefinitionNames {
        #[prost(bytes = "bytes", tag = "4")] pub kind: Bytes,
    }

    /// Without the schema, which is nearly all of it.
    pub struct DefinitionVersion {
        #[prost(bytes = "bytes", tag = "1")] pub name: Bytes,
        #[prost(bool, tag = "2")] pub served: bool,
    }

    pub struct DefinitionStatus {
        #[prost(message, repeated, tag = "1")] pub conditions: Vec<DefinitionCondition>,
    }

    pub struct DefinitionCondition {
        #[prost(bytes = "bytes", tag = "1")] pub r#type: Bytes,
        #[prost(bytes = "bytes", tag = "2")] pub status: Bytes,
    }
}

/// What is kept of a definition.
#[derive(Debug, Clone, PartialEq)]
pub struct Row {
    pub group: Sym,
    pub kind: Sym,
    pub scope: Sym,
    /// Served versions, with commas.
    pub versions: Sym,
    pub health: Health,
}

impl Wired for CustomResourceDefinition {
    type Wire = DefinitionObject;

    fn meta(wire: &DefinitionObject) -> &ObjectMeta {
        wire.metadata.as_ref().unwrap_or(&super::NO_META)
    }

    fn row(wire: &DefinitionObject, interner: &mut Interner) -> Row {
        let spec = wire.spec.clone().unwrap_or_default();
        let served: Vec<_> =
            spec.versions.iter().filter(|version| version.served).map(|version| text(&version.name)).collect();
        let conditions = wire.status.as_ref().map_or(&[][..], |status| &status.conditions);
        let is = |kind: &str, status: &str| conditions.iter().any(|one| one.r#type == kind && one.status == status);
        Row {
            group: interner.bytes(&spec.group),
            kind: interner.bytes(&spec.names.unwrap_or_default().kind),
            scope: interner.bytes(&spec.scope),
            versions: interner.text(&served.join(",")),
            health: if is("NamesAccepted", "False") {
                Health::Bad
            } else if is("Terminating", "True") {
                Health::Progressing
            } else if is("NonStructuralSchema", "True") {
                Health::Warn
            } else if is("Established", "True") {
                Health::Ok
            } else {
                Health::Progressing
            },
        }
    }
}

type Column = super::Column<Row>;

const COLUMNS: &[Column] = &[
    Column::NAME,
    Column::text("created at", "When it was created, UTC", |_, at| {
        match jiff::Timestamp::from_second(at.meta.created.into()) {
            Ok(instant) if at.meta.created != 0 => Value::Text(instant.to_string().into()),
            _ => Value::Unknown,
        }
    })
    .rank(5),
    Column::text("group", "API group of its objects", |row, at| at.plain(row.group)).rank(4),
    Column::text("kind", "Kind of its objects", |row, at| at.plain(row.kind)).rank(2),
    Column::text("scope", "Whether its objects live in namespaces", |row, at| at.plain(row.scope)).rank(3),
    Column::text("versions", "Versions that are served", |row, at| at.symbol(row.versions)).rank(3),
    Column::LABELS,
    Column::AGE,
];

impl Kind for CustomResourceDefinition {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "customresourcedefinitions",
        kind: "CustomResourceDefinition",
        group: "apiextensions.k8s.io",
        version: "v1",
        namespaced: false,
        aliases: &["crd", "crds", "customresourcedefinition"],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column] {
        COLUMNS
    }

    fn health(row: &Row, _at: &At<'_>) -> Health {
        row.health
    }

    /// A definition is called `plural.group`, and so is its kind on the command line.
    fn drill(_row: &Row, at: &At<'_>) -> Option<Drill> {
        Some(Drill { plural: at.name.to_owned(), namespace: None, pin: None })
    }

    fn decoder() -> Box<dyn Decoder> {
        Self::wired()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{Encoding, read};

    #[test]
    fn a_definition_says_what_it_defines() {
        let object = br#"{"metadata":{"name":"as.x.io"},"spec":{"group":"x.io","names":{"kind":"A","plural":"as"},
            "scope":"Namespaced","versions":[{"name":"v1","served":true,"schema":{}},{"name":"v0","served":false},
            {"name":"v2","served":true}]},"status":{"conditions":[{"type":"NamesAccepted","status":"True"},
            {"type":"Established","status":"True"}]}}"#;
        let wire: DefinitionObject = read(Encoding::Json, Bytes::from_static(object)).unwrap();
        let mut interner = Interner::default();
        let row = CustomResourceDefinition::row(&wire, &mut interner);
        let texts = [row.group, row.kind, row.scope, row.versions].map(|sym| interner.get(sym).to_owned());
        assert_eq!(texts, ["x.io", "A", "Namespaced", "v1,v2"]);
        assert_eq!(row.health, Health::Ok);
        let refused = br#"{"status":{"conditions":[{"type":"NamesAccepted","status":"False"}]}}"#;
        let wire: DefinitionObject = read(Encoding::Json, Bytes::from_static(refused)).unwrap();
        assert_eq!(CustomResourceDefinition::row(&wire, &mut interner).health, Health::Bad);
    }
}
