#include "photonet/input.h"

#include <stdbool.h>
#include <sys/stat.h>

enum status input_check(const char *path, struct diag *diag)
{
    struct stat info;
    bool is_endless = stat(path, &info) == 0 && !S_ISREG(info.st_mode) && !S_ISDIR(info.st_mode);
    return is_endless ? diag_input(diag, (struct origin){.path = path},
                                   "is a %s; expected a regular file",
                                   S_ISFIFO(info.st_mode)   ? "pipe"
                                   : S_ISSOCK(info.st_mode) ? "socket"
                                                            : "device")
                      : STATUS_OK;
}
