#include "netsim/cli.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The one mutable global of the program: a signal handler can reach nothing else. */
volatile int cli_interrupted;

static void on_signal(int number)
{
    if (cli_interrupted) {
        _exit(128 + number);
    }
    cli_interrupted = 1;
}

void cli_catch_signals(void)
{
    struct sigaction action = {.sa_handler = on_signal};
    sigemptyset(&action.sa_mask);
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
}

enum status cli_setting_add(struct cli_settings *settings, const char *option, const char *text, struct diag *diag)
{
    const char *equals = strchr(text, '=');
    if (equals == NULL || equals == text) {
        return diag_set(diag, STATUS_USAGE, "%s %s: KEY=VALUE was expected", option, text);
    }
    vec_push(settings->arena, settings->items, settings->count, settings->capacity) = (struct trace_setting){
        .key = arena_strndup(settings->arena, text, (size_t)(equals - text)),
        .text = arena_strdup(settings->arena, equals + 1),
        .at = {option, 0, 0},
    };
    return STATUS_OK;
}

error_t cli_usage(struct diag *diag, const char *option, const char *text, const char *expected)
{
    diag_set(diag, STATUS_USAGE, "%s %s: %s was expected", option, text, expected);
    return EINVAL;
}

error_t cli_format_parse(const char *text, bool *is_json, struct diag *diag)
{
    *is_json = strcmp(text, "json") == 0;
    return *is_json || strcmp(text, "table") == 0 ? 0 : cli_usage(diag, "--format", text, "table or json");
}

error_t cli_name_parse(const char *text, const char *expected, const char **name, struct diag *diag)
{
    if (*name != NULL) {
        return cli_usage(diag, "argument", text, expected);
    }
    *name = text;
    return 0;
}

/* argp prints errors to stderr and, without this, exits; here they become the one line of the diag. */
enum status cli_parse(const struct argp *argp, int argc, char **argv, void *input, bool *is_done, struct diag *diag)
{
    *is_done = false;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--") == 0) {
            break;
        }
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0) {
            argp_help(argp, stdout, ARGP_HELP_STD_HELP & ~ARGP_HELP_EXIT_OK, argv[0]);
            *is_done = true;
            return STATUS_OK;
        }
    }
    char *message = NULL;
    size_t message_bytes = 0;
    fflush(stderr);
    FILE *saved = stderr;
    stderr = open_memstream(&message, &message_bytes);
    error_t code = argp_parse(argp, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP, NULL, input);
    fclose(stderr);
    stderr = saved;
    enum status status = STATUS_OK;
    if (code != 0 && diag->text[0] == '\0') {
        char *newline = strchr(message, '\n');
        if (newline != NULL) {
            *newline = '\0';
        }
        status = diag_set(diag, STATUS_USAGE, "%s; try `%s --help`",
                          message_bytes > 0 ? message : "bad arguments", argv[0]);
    } else if (code != 0) {
        status = STATUS_USAGE;
    }
    free(message);
    return status;
}

const char *cli_command_line(int argc, char **argv, struct arena *arena)
{
    const char *line = "";
    for (int i = 0; i < argc; i++) {
        line = arena_printf(arena, "%s%s%s", line, i > 0 ? " " : "", argv[i]);
    }
    return line;
}
