/* The helpers declared in child.h. */
#include "tests/child.h"

#include <signal.h>
#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

int child_run(void (*body)(void), int descriptor)
{
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        dup2(descriptor, STDERR_FILENO);
        body();
        _exit(0);
    }
    int wait_status = -1;
    waitpid(child, &wait_status, 0);
    return wait_status;
}

int child_capture(void (*body)(void), char *output, size_t output_bytes)
{
    int ends[2];
    output[0] = '\0';
    if (pipe(ends) != 0) {
        return -1;
    }
    int wait_status = child_run(body, ends[1]);
    close(ends[1]);
    ssize_t got = read(ends[0], output, output_bytes - 1);
    output[got > 0 ? got : 0] = '\0';
    close(ends[0]);
    return wait_status;
}

bool is_aborted(int wait_status)
{
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGABRT;
}
