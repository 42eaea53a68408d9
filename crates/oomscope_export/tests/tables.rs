//! Tables come back as they were written, in every form, and the documentation has their columns.
#![allow(clippy::disallowed_methods, missing_docs)] // tests read files

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{UInt32Type, UInt64Type};
use oomscope_export::{Format, Table, write};
use oomscope_snapshot::Snapshot;

fn example() -> Snapshot {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/retained_graph/snapshot.pickle");
    oomscope_snapshot::read(&fs::read(path).expect("the example exists")).expect("it is whole")
}

fn written(snapshot: &Snapshot, table: Table, format: Format) -> Vec<u8> {
    let mut out = Vec::new();
    write(snapshot, table, format, &mut out).expect("a vector takes everything");
    out
}

fn of_arrow(bytes: Vec<u8>) -> Vec<RecordBatch> {
    let reader = arrow::ipc::reader::FileReader::try_new(std::io::Cursor::new(bytes), None);
    reader.expect("an Arrow file").map(|batch| batch.expect("a batch")).collect()
}

fn of_parquet(bytes: Vec<u8>) -> Vec<RecordBatch> {
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
    let builder = ParquetRecordBatchReaderBuilder::try_new(bytes::Bytes::from(bytes));
    let builder = builder.expect("a Parquet file").with_batch_size(oomscope_export::BATCH);
    let reader = builder.build().expect("a reader");
    reader.map(|batch| batch.expect("a batch")).collect()
}

#[test]
fn every_table_is_the_same_in_arrow_and_parquet_and_as_long_in_text() {
    let snapshot = example();
    for table in Table::ALL {
        let arrow = of_arrow(written(&snapshot, table, Format::Arrow));
        let parquet = of_parquet(written(&snapshot, table, Format::Parquet));
        let rows: usize = arrow.iter().map(RecordBatch::num_rows).sum();
        assert!(rows > 0, "{}", table.name());
        assert_eq!(rows, parquet.iter().map(RecordBatch::num_rows).sum::<usize>());
        let columns = |batches: &[RecordBatch]| -> Vec<_> {
            batches.iter().flat_map(|batch| batch.columns().to_vec()).collect()
        };
        assert_eq!(columns(&arrow), columns(&parquet), "{}", table.name());
        let lines = |format| {
            let text = written(&snapshot, table, format);
            String::from_utf8(text).expect("text").lines().count()
        };
        assert_eq!(lines(Format::JsonLines), rows, "{}", table.name());
        assert_eq!(lines(Format::Csv), rows + 1, "{}", table.name());
    }
}

#[test]
fn events_are_those_of_the_trace() {
    let snapshot = example();
    let batches = of_arrow(written(&snapshot, Table::Events, Format::Arrow));
    let trace = snapshot.traces.iter().find(|trace| !trace.is_empty()).expect("a trace");
    let mut events = trace.iter();
    for batch in &batches {
        let action = batch.column_by_name("action").expect("action").as_string::<i32>();
        let size = batch.column_by_name("size").expect("size").as_primitive::<UInt64Type>();
        let stack = batch.column_by_name("stack").expect("stack").as_primitive::<UInt32Type>();
        for row in 0..batch.num_rows() {
            let (_, event) = events.next().expect("as many events");
            assert_eq!(action.value(row), event.kind.action());
            assert_eq!(size.value(row), event.size.0);
            let known = (!stack.is_null(row)).then(|| stack.value(row));
            assert_eq!(known.unwrap_or(u32::MAX), event.stack.0);
        }
    }
    assert!(events.next().is_none());
}

#[test]
fn an_empty_snapshot_gives_headers_only() {
    let snapshot = Snapshot::default();
    for table in Table::ALL {
        let text = String::from_utf8(written(&snapshot, table, Format::Csv)).expect("text");
        assert_eq!(text.lines().count(), 1, "{}", table.name());
        assert!(written(&snapshot, table, Format::JsonLines).is_empty());
        assert!(of_parquet(written(&snapshot, table, Format::Parquet)).is_empty());
    }
}

/// `docs/export.md` is made from the columns: `OOMSCOPE_UPDATE_DOCS=1` writes it.
#[test]
fn the_documentation_has_every_column() {
    let mut page = String::from(
        "# Exported tables\n\nWhat `oomscope snapshot export` writes, as Parquet, Arrow (IPC file), JSON lines or\nCSV. Unknown is null, and left out of JSON lines. Each column's meaning is also in\nthe metadata of Parquet and Arrow files.\n",
    );
    for table in Table::ALL {
        let _ = write!(page, "\n## {}\n\n{}\n\n", table.name(), table.meaning());
        page.push_str("| column | type | null | meaning |\n|---|---|---|---|\n");
        for column in table.columns() {
            let null = if column.nullable { "yes" } else { "" };
            let kind = column.kind.name();
            let _ = writeln!(page, "| `{}` | {kind} | {null} | {} |", column.name, column.meaning);
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/export.md");
    if std::env::var_os("OOMSCOPE_UPDATE_DOCS").is_some() {
        fs::write(&path, &page).expect("docs can be written");
    }
    let committed = fs::read_to_string(&path).unwrap_or_default();
    assert_eq!(committed, page, "stale: run with OOMSCOPE_UPDATE_DOCS=1");
}
