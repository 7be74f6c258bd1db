//! The columns of the built-in kinds, after `pkg/printers/internalversion/printers.go` of Kubernetes 1.36.

use super::catalog::ResourceId;
use super::table::{Column, age_column, name_column};

pub(super) fn columns(_resource: ResourceId) -> Vec<Column> {
    vec![name_column(), age_column()]
}
