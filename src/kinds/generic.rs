//! Every kind without a file of its own: the server says which columns it has.

use std::any::Any;

use bytes::Bytes;

use super::{Column, DecodeError, Decoder, Definition, Encoding, EventKind, Form, Kind, KindInfo};
use crate::store::{intern::Interner, table::Changes};

/// Objects of a kind that only the server knows.
pub struct Generic;

/// The cells as the server gave them.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Row {
    pub cells: Vec<Box<str>>,
}

impl super::HasId for Generic {
    /// Not in the registry: tables of this type are added as the server names them.
    const ID: super::KindId = super::KindId(u16::MAX);
}

impl Kind for Generic {
    type Row = Row;
    const DEFINITION: Definition = Definition {
        plural: "",
        kind: "",
        group: "",
        version: "v1",
        namespaced: true,
        aliases: &[],
        sort: None,
        joins: &[],
    };

    fn columns() -> &'static [Column<Row>] {
        &[]
    }

    fn decoder() -> Box<dyn Decoder> {
        nothing()
    }
}

/// A decoder for a kind that is known by its discovery entry.
pub fn decoder(_info: &KindInfo) -> Box<dyn Decoder> {
    nothing()
}

/// A decoder for kinds that no server sends.
pub fn nothing() -> Box<dyn Decoder> {
    Box::new(Nothing)
}

struct Nothing;

impl Decoder for Nothing {
    fn form(&self) -> Form {
        Form::Json
    }

    fn object(&mut self, _: EventKind, _: Encoding, _: Bytes, _: &mut Interner) -> Result<Bytes, DecodeError> {
        Ok(Bytes::new())
    }

    fn take(&mut self) -> (usize, Box<dyn Any + Send>) {
        (0, Box::new(Changes::<Row>::default()))
    }

    fn pending(&self) -> usize {
        0
    }
}
