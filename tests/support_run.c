/* What tests of whole runs and of settings share: see support_run.h. */
#include "tests/support_run.h"

#include "tests/check.h"

size_t settings_split_at(struct arena *arena, const char *text, const char *separator, struct trace_setting *sets)
{
    size_t count = 0;
    char *rest;
    for (char *word = strtok_r(arena_strdup(arena, text), separator, &rest); word != NULL;
         word = strtok_r(NULL, separator, &rest)) {
        char *equals = strchr(word, '=');
        assert(equals != NULL && count < SETTINGS_MAX);
        *equals = '\0';
        sets[count++] = (struct trace_setting){word, equals + 1, {.path = "--set"}};
    }
    return count;
}

size_t settings_split(struct arena *arena, const char *text, struct trace_setting *sets)
{
    return settings_split_at(arena, text, " ", sets);
}

struct run_request whole_request(const char *trace, const char *fabric)
{
    return (struct run_request){.trace = trace, .fabric = fabric, .seed = 1, .iterations = 1,
                                .until_ps = TIME_NEVER_PS - 1, .is_quiet = true};
}

enum status whole_run(struct run_request request, const struct job *job, const char *settings, struct arena *arena,
                      struct run_result *result, struct diag *diag)
{
    struct trace_setting sets[SETTINGS_MAX];
    if (settings != NULL) {
        request.settings = sets;
        request.setting_count = settings_split(arena, settings, sets);
    }
    *result = (struct run_result){.status = NULL};
    enum status status = job != NULL ? STATUS_OK : run_read(&request, arena, &job, diag);
    return status == STATUS_OK ? run_job(&request, job, NULL, arena, result, diag) : status;
}

struct run_result whole_run_good(struct run_request request, const struct job *job, const char *settings,
                                 struct arena *arena)
{
    struct diag diag = {""};
    struct run_result result;
    enum status status = whole_run(request, job, settings, arena, &result, &diag);
    if (status != STATUS_OK) {
        printf("%s on %s, %s: %s\n%s\n", request.trace, request.fabric, settings != NULL ? settings : "", diag.text,
               result.explanation != NULL ? result.explanation : "");
    }
    CHECK_EQUAL(status, STATUS_OK);
    return result;
}
