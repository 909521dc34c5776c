/* What the subcommands share. */
#ifndef PHOTONET_CLI_H
#define PHOTONET_CLI_H

#include "photonet/arena.h"
#include "photonet/command.h"
#include "photonet/trace.h"

#include <argp.h>

/* A growing list of --set KEY=VALUE. */
struct cli_settings {
    struct arena *arena;
    struct trace_setting *items;
    size_t count, capacity;
};

/* "KEY=VALUE" into the list, with the option as its origin. */
enum status cli_setting_add(struct cli_settings *settings, const char *option, const char *text, struct diag *diag);

/* "OPTION TEXT: EXPECTED was expected" into the diag; EINVAL, for argp. */
error_t cli_usage(struct diag *diag, const char *option, const char *text, const char *expected);

/* What --format says: table or json. */
error_t cli_format_parse(const char *text, bool *is_json, struct diag *diag);

/* The one argument of a command, `expected`; *name is NULL before. */
error_t cli_name_parse(const char *text, const char *expected, const char **name, struct diag *diag);

/* argp_parse with the errors of usage as a diag: argp's own messages go to the diag's line. STATUS_USAGE where the
 * arguments are wrong; *is_done where --help or --version has answered. */
enum status cli_parse(const struct argp *argp, int argc, char **argv, void *input, bool *is_done, struct diag *diag);

/* The command line as one string, for provenance. */
const char *cli_command_line(int argc, char **argv, struct arena *arena);

/* Set by SIGINT and SIGTERM once cli_catch_signals was called. A second signal ends the process. */
extern volatile int cli_interrupted;
void cli_catch_signals(void);

#endif
