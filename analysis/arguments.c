/* The parser declared in arguments.h. */
#include "analysis/arguments.h"

#include <string.h>

static bool is_help_wanted(int argc, char **argv)
{
    for (int i = 1; i < argc && strcmp(argv[i], "--") != 0; i++) {
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-?") == 0) {
            return true;
        }
    }
    return false;
}

/* Sits above the command's own parser and learns at which argument argp stopped. */
static error_t error_note(int key, char *text, struct argp_state *state)
{
    const char **culprit = state->input;
    (void)text;
    if (key == ARGP_KEY_INIT) {
        state->child_inputs[0] = ((void **)state->input)[1];
    }
    if (key == ARGP_KEY_ERROR && state->next > 0 && state->next <= state->argc) {
        *culprit = state->argv[state->next - 1];
    }
    return ARGP_ERR_UNKNOWN;
}

enum status arguments_parse(const struct argp *argp, int argc, char **argv, void *input, bool *is_done,
                            struct diag *diag)
{
    const struct argp_child children[] = {{argp, 0, NULL, 0}, {0}};
    const struct argp outer = {.parser = error_note, .children = children};
    void *inputs[2] = {NULL, input}; /* the culprit, the command's own */
    *is_done = is_help_wanted(argc, argv);
    if (*is_done) {
        argp_help(argp, stdout, ARGP_HELP_STD_HELP & ~(unsigned)ARGP_HELP_EXIT_OK, argv[0]);
        return STATUS_OK;
    }
    if (argp_parse(&outer, argc, argv, ARGP_NO_EXIT | ARGP_NO_HELP | ARGP_NO_ERRS, NULL, inputs) == 0) {
        return STATUS_OK;
    }
    if (diag->text[0] == '\0') {
        const char *culprit = inputs[0];
        diag_set(diag, STATUS_USAGE, "%s is not an option or lacks its value; try `%s --help`",
                 culprit != NULL ? culprit : "an argument", argv[0]);
    }
    return STATUS_USAGE;
}
