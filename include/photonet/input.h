/* Files that are read: what is opened must be able to end. */
#ifndef PHOTONET_INPUT_H
#define PHOTONET_INPUT_H

#include "photonet/status.h"

/* Refuses pipes, devices and sockets, of which opening or reading may never end; to be asked before a file is opened. What is
 * not there, or a folder, is for whoever opens it to refuse. */
enum status input_check(const char *path, struct diag *diag);

#endif
