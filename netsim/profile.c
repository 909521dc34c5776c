#include "netsim/profile.h"

#include <string.h>

/* The profile that the last setting of it names, else the first. */
static enum status profile_choose(const struct transport *transport, void *values, const struct trace_setting *settings,
                                  size_t count, struct arena *arena, uint32_t *profile, struct diag *diag)
{
    enum status status = STATUS_OK;
    for (size_t i = 0; i < count && status == STATUS_OK; i++) {
        if (strcmp(settings[i].key, "transport.profile") == 0) {
            status = param_assign_in("transport.", &transport->params, values, "profile", settings[i].text, settings[i].at,
                                     arena, diag);
        }
    }
    const struct param *row = param_find(&transport->params, "profile");
    *profile = *(const uint32_t *)((const char *)values + row->offset);
    return status;
}

enum status profile_expand(const struct transport *transport, void *values, const struct trace_setting *settings,
                           size_t count, struct arena *arena, struct profile_settings *all, struct diag *diag)
{
    const char *const *names = transport_profile_names(transport);
    *all = (struct profile_settings){settings, count};
    if (names == NULL) {
        return STATUS_OK;
    }
    uint32_t profile;
    enum status status = profile_choose(transport, values, settings, count, arena, &profile, diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct trace_setting *joined = arena_array(arena, transport->profile_row_count + count, struct trace_setting);
    const char *where = arena_printf(arena, "profile %s of transport %s", names[profile], transport->name);
    all->count = 0;
    for (uint32_t i = 0; i < transport->profile_row_count; i++) {
        const struct transport_profile_row *row = &transport->profile_rows[i];
        if (row->text[profile] != NULL) {
            joined[all->count++] = (struct trace_setting){.key = row->key, .text = row->text[profile], .at = {where, 0, 0}};
        }
    }
    for (size_t i = 0; i < count; i++) {
        joined[all->count++] = settings[i];
    }
    all->settings = joined;
    return STATUS_OK;
}

/* ---- the table -------------------------------------------------------------------------------------------- */

#define KEY_COLUMNS  26
#define TEXT_COLUMNS 13
#define LINE_COLUMNS 110
#define WHY_INDENT   6

static void wrapped_print(const char *text, FILE *stream)
{
    int column = fprintf(stream, "%*s", WHY_INDENT - 1, "");
    while (*text != '\0') {
        int length = (int)strcspn(text, " ");
        if (column + 1 + length > LINE_COLUMNS) {
            column = fprintf(stream, "\n%*s", WHY_INDENT - 1, "") - 1;
        }
        column += fprintf(stream, " %.*s", length, text);
        text += length;
        text += strspn(text, " ");
    }
    fprintf(stream, "\n");
}

void profile_print(const struct transport *transport, FILE *stream)
{
    const char *const *names = transport_profile_names(transport);
    if (names == NULL) {
        return;
    }
    fprintf(stream, "\nProfiles: what transport.profile sets unless it is set by itself (-: left as it is without a profile)\n\n"
                    "  %-*s", KEY_COLUMNS, "");
    for (size_t i = 0; names[i] != NULL; i++) {
        fprintf(stream, "%-*s", names[i + 1] != NULL ? TEXT_COLUMNS : 0, names[i]);
    }
    fprintf(stream, "\n");
    for (uint32_t row = 0; row < transport->profile_row_count; row++) {
        const struct transport_profile_row *at = &transport->profile_rows[row];
        fprintf(stream, "  %-*s", KEY_COLUMNS, at->key);
        for (size_t i = 0; names[i] != NULL; i++) {
            fprintf(stream, "%-*s", names[i + 1] != NULL ? TEXT_COLUMNS : 0, at->text[i] != NULL ? at->text[i] : "-");
        }
        fprintf(stream, "\n");
        wrapped_print(at->why, stream);
    }
}
