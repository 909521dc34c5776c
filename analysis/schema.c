/* `photonet schema`: the page that describes the result file, out of the table of columns. analysis/schema.md
 * is its output. */
#include "analysis/schema.h"

#include "analysis/arguments.h"
#include "photonet/command.h"
#include "photonet/results.h"

static const char head[] =
    "# The result file\n"
    "\n"
    "Generated from include/photonet/columns.def by `photonet schema`; do not edit.\n"
    "\n"
    "```\n"
    "/                              format = \"photonet-results\", schema_version, Conventions, creator\n"
    "/tables/summary                compound, a row for each run that ended: for pandas.read_hdf\n"
    "/runs/NAME                     one run; attributes below\n"
    "/runs/NAME/TABLE/COLUMN        one dataset a column; TABLE.columns lists them in order\n"
    "/runs/NAME/latency/NAME        a histogram: count over lower edge; empty bins left out\n"
    "/runs/NAME/timeseries/NAME     a dataset of time_ps x index with both scales\n"
    "```\n"
    "\n"
    "Every dataset has `units` and `long_name`, is chunked, shuffled and deflated, and is labelled by the\n"
    "dimension scale of its table (`port` in links, `rank` in ranks, `node` in nodes, else `row`), so that\n"
    "xarray opens any group: `xarray.open_dataset(file, group=\"runs/NAME/links\", engine=\"h5netcdf\")`.\n"
    "Texts are UTF-8 of fixed width, padded with zeros. Units: \"1\" is a count or a ratio, \"text\" a "
    "label;\n"
    "GB is 10^9 bytes.\n"
    "\n"
    "Attributes of a run: `status` (complete, interrupted, deadlock), `ordinal` (place in the file),\n"
    "`photonet_version`, `git_commit`, `compiler`, `simd`, `threads`, `engine`, `seed`, `command_line`,\n"
    "`config_yaml` (fully resolved), `trace`, `fabric`, `fabric_family`, `scale` (share of the full step "
    "that\n"
    "was simulated), `import_report`; when it has ended `makespan_ps`, `digest` (16 hexadecimal digits) and\n"
    "`digest_u64`; unless the file was asked to be stable, `started`, `ended` and `wall_s`. The columns of\n"
    "`summary` are attributes of its group too.\n"
    "\n"
    "The file is replaced as a whole at each flush: a reader always finds a complete HDF5 file, also while\n"
    "the run is going on and after it was killed. A run that was killed has the status interrupted and the\n"
    "rows up to the last flush. `FILE.part` beside a result file is the working copy of a run that is going\n"
    "on, or was killed.\n";

static const char *type_name(enum column_type type)
{
    switch (type) {
    case COLUMN_U64:
        return "uint64";
    case COLUMN_U32:
        return "uint32";
    case COLUMN_F64:
        return "float64";
    case COLUMN_TEXT:
        return "text";
    }
    return "";
}

void schema_print(FILE *out)
{
    fputs(head, out);
    enum result_table table = RESULT_TABLE_COUNT;
    for (const struct result_column *column = result_columns; column->name != NULL; column++) {
        if (column->table != table) {
            table = column->table;
            fprintf(out, "\n## %s\n\n%s.\n\n| column | type | units | meaning |\n|---|---|---|---|\n",
                    result_table_names[table], result_table_meanings[table]);
        }
        fprintf(out, "| %s | %s | %s | %s |\n", column->name, type_name(column->type), column->unit,
                column->meaning);
    }
}

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    if (key != ARGP_KEY_ARG) {
        return ARGP_ERR_UNKNOWN;
    }
    diag_set(state->input, STATUS_USAGE, "argument %s: schema takes none", text);
    return EINVAL;
}

enum status command_schema(int argc, char **argv, struct diag *diag)
{
    static const struct argp argp = {
        .parser = option_parse,
        .doc = "Describes the result file: its groups, columns and units, as Markdown."};
    bool is_done;
    enum status status = arguments_parse(&argp, argc, argv, diag, &is_done, diag);
    if (status == STATUS_OK && !is_done) {
        schema_print(stdout);
    }
    return status;
}
