// Runs a command and writes its wall seconds and its peak memory in KiB: `measure REPORT COMMAND...`. The exit code is
// the command's. A process of its own, as Linux counts the memory of whoever starts a program as the program's.
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec + now.tv_nsec * 1e-9;
}

int main(int count, char **arguments) {
    if (count < 3) return 2;
    double start = seconds();
    pid_t child = fork();
    if (child == 0) {
        execvp(arguments[2], arguments + 2);
        perror(arguments[2]);
        _exit(127);
    }
    int status;
    struct rusage usage;
    if (child < 0 || wait4(child, &status, 0, &usage) < 0) return 1;
    double end = seconds();
    FILE *report = fopen(arguments[1], "w");
    if (!report) return 1;
    fprintf(report, "%.9f %ld\n", end - start, usage.ru_maxrss);
    fclose(report);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}
