//! Columns as data, and the arrays that rows become.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, StringArray, UInt32Array, UInt64Array};
use arrow::datatypes::{DataType, Field, Schema};

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    /// Its name.
    pub name: &'static str,
    /// Its type.
    pub kind: ColumnType,
    /// Whether it can be unknown.
    pub nullable: bool,
    /// What it means, with its unit.
    pub meaning: &'static str,
}

/// The types of columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ColumnType {
    /// Unsigned, 32 bits.
    UInt32,
    /// Unsigned, 64 bits.
    UInt64,
    /// True or false.
    Boolean,
    /// UTF-8.
    Text,
}

impl ColumnType {
    /// As Arrow spells it.
    pub const fn name(self) -> &'static str {
        match self {
            ColumnType::UInt32 => "uint32",
            ColumnType::UInt64 => "uint64",
            ColumnType::Boolean => "bool",
            ColumnType::Text => "utf8",
        }
    }

    fn arrow(self) -> DataType {
        match self {
            ColumnType::UInt32 => DataType::UInt32,
            ColumnType::UInt64 => DataType::UInt64,
            ColumnType::Boolean => DataType::Boolean,
            ColumnType::Text => DataType::Utf8,
        }
    }
}

/// The Arrow schema of columns; each field carries its meaning as metadata.
pub(crate) fn schema(columns: &[Column]) -> Schema {
    let fields: Vec<Field> = columns
        .iter()
        .map(|column| {
            let meaning = HashMap::from([("meaning".to_owned(), column.meaning.to_owned())]);
            Field::new(column.name, column.kind.arrow(), column.nullable).with_metadata(meaning)
        })
        .collect();
    Schema::new(fields)
}

/// A column that is always known.
pub(crate) const fn known(name: &'static str, kind: ColumnType, meaning: &'static str) -> Column {
    Column { name, kind, nullable: false, meaning }
}

/// A column that may be null.
pub(crate) const fn maybe(name: &'static str, kind: ColumnType, meaning: &'static str) -> Column {
    Column { name, kind, nullable: true, meaning }
}

/// The columns of some rows, in the table's order.
pub(crate) type Batch = Vec<ArrayRef>;
/// A table's rows.
pub(crate) type Batches<'s> = Box<dyn Iterator<Item = Batch> + 's>;

pub(crate) fn u32s<R>(rows: &[R], value: impl Fn(&R) -> Option<u32>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<UInt32Array>())
}

pub(crate) fn u64s<R>(rows: &[R], value: impl Fn(&R) -> Option<u64>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<UInt64Array>())
}

pub(crate) fn bools<R>(rows: &[R], value: impl Fn(&R) -> Option<bool>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<BooleanArray>())
}

pub(crate) fn texts<'r, R>(rows: &'r [R], value: impl Fn(&'r R) -> Option<&'r str>) -> ArrayRef {
    Arc::new(rows.iter().map(value).collect::<StringArray>())
}
