/* photonet: finds the subcommand, prints its error, exits. The only place that does either of the latter. */
#include "photonet/command.h"

#include <locale.h>
#include <stdio.h>
#include <string.h>

static void usage_print(FILE *stream)
{
    fprintf(stream, "Usage: photonet COMMAND [OPTION...]\n\nReplays AI training traces, packet by packet, over electrical "
                    "and photonic fabrics.\n\n");
    for (const struct command *command = commands; command->name != NULL; command++) {
        fprintf(stream, "  %-10s %s\n", command->name, command->summary);
    }
    fprintf(stream, "\n`photonet COMMAND --help` lists a command's options.\n"
                    "Exit status: 0 good, 1 bad usage, 2 bad input, 3 the simulated job deadlocked, 4 writing failed, 5 out of "
                    "memory, 130 interrupted.\n");
}

static enum status command_run_named(int argc, char **argv, struct diag *diag)
{
    char name[64];
    for (const struct command *command = commands; command->name != NULL; command++) {
        if (strcmp(command->name, argv[1]) == 0) {
            snprintf(name, sizeof name, "photonet %s", command->name);
            argv[1] = name;
            return command->run(argc - 1, argv + 1, diag);
        }
    }
    return diag_set(diag, STATUS_USAGE, "unknown command \"%s\"; `photonet --help` lists them", argv[1]);
}

int main(int argc, char **argv)
{
    struct diag diag = {{0}};
    enum status status = STATUS_OK;
    setlocale(LC_CTYPE, "");
    if (argc < 2) {
        usage_print(stderr);
        return STATUS_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0) {
        usage_print(stdout);
    } else if (strcmp(argv[1], "--version") == 0) {
        printf("photonet %s (%s), %s\n", photonet_version, photonet_commit, photonet_compiler);
    } else {
        status = command_run_named(argc, argv, &diag);
    }
    if (status == STATUS_OK && (fflush(stdout) != 0 || ferror(stdout))) {
        status = diag_set(&diag, STATUS_IO, "cannot write the output");
    }
    if (status != STATUS_OK) {
        fprintf(stderr, "photonet: %s\n", diag.text);
    }
    return (int)status;
}
