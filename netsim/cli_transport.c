/* photonet transport: what each transport models, what it does not, and what it was checked against. The pages are the
 * heads of the files in netsim/transport, compiled in. */
#include "netsim/cli.h"
#include "netsim/profile.h"
#include "netsim/transport/transport.h"

#include <jansson.h>
#include <string.h>

enum { OPT_FORMAT = 256 };

static const struct argp_option options[] = {
    {"format", OPT_FORMAT, "table|json", 0, "what is printed (default: table)", 0},
    {0},
};

struct arguments {
    struct diag *diag;
    const char *name;
    bool is_json;
};

static error_t option_parse(int key, char *text, struct argp_state *state)
{
    struct arguments *arguments = state->input;
    switch (key) {
    case OPT_FORMAT:
        return cli_format_parse(text, &arguments->is_json, arguments->diag);
    case ARGP_KEY_ARG:
        return cli_name_parse(text, "one transport", &arguments->name, arguments->diag);
    default:
        return ARGP_ERR_UNKNOWN;
    }
}

static const struct argp argp = {
    options, option_parse, "[NAME]", "Lists the transports, or prints the page of one: what is modelled, what is not, what it "
    "was checked against, its parameters.\v`photonet run --transport NAME` runs it, `--set transport.KEY=VALUE` sets its parameters.", NULL, NULL, NULL};

static const char *page_of(const char *name)
{
    const struct transport_page *page = transport_pages;
    while (page->name != NULL && strcmp(page->name, name) != 0) {
        page++;
    }
    return page->text;
}

static void page_print(const struct transport *transport)
{
    printf("%s: %s\n\n%s\nParameters%s\n", transport->name, transport->summary, page_of(transport->name),
           transport->params.row_count > 0 ? "" : ": none");
    param_help(&transport->params, "transport.", stdout);
    profile_print(transport, stdout);
}

/* {"option": KEY, PROFILE: TEXT or null, ..., "why": TEXT}, one for each row. */
static json_t *profiles_json(const struct transport *transport)
{
    const char *const *names = transport_profile_names(transport);
    json_t *list = json_array();
    for (uint32_t row = 0; names != NULL && row < transport->profile_row_count; row++) {
        const struct transport_profile_row *at = &transport->profile_rows[row];
        json_t *object = json_pack("{s:s, s:s}", "option", at->key, "why", at->why);
        for (size_t i = 0; names[i] != NULL; i++) {
            json_object_set_new(object, names[i], at->text[i] != NULL ? json_string(at->text[i]) : json_null());
        }
        json_array_append_new(list, object);
    }
    return list;
}

static enum status json_print(const struct transport *only, struct diag *diag)
{
    json_t *list = json_array();
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        if (only == NULL || only == *transport) {
            json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:o}", "transport", (*transport)->name, "summary",
                                                  (*transport)->summary, "page", page_of((*transport)->name), "profiles",
                                                  profiles_json(*transport)));
        }
    }
    int failed = json_dumpf(list, stdout, JSON_INDENT(2));
    json_decref(list);
    printf("\n");
    return failed ? diag_set(diag, STATUS_IO, "cannot write to the standard output") : STATUS_OK;
}

static void list_print(void)
{
    for (const struct transport *const *transport = transports; *transport != NULL; transport++) {
        printf("%-8s %s\n", (*transport)->name, (*transport)->summary);
    }
    printf("\n`photonet transport NAME` says what is modelled, what is not, and how it compares with other simulators.\n");
}

static enum status transport_show(const struct arguments *arguments, struct diag *diag)
{
    const struct transport *transport = arguments->name != NULL ? transport_find(arguments->name) : NULL;
    if (arguments->name != NULL && transport == NULL) {
        return diag_set(diag, STATUS_INPUT, "transport: unknown transport \"%.60s\"; `photonet transport` lists them",
                        arguments->name);
    }
    if (arguments->is_json) {
        return json_print(transport, diag);
    }
    if (transport == NULL) {
        list_print();
    } else {
        page_print(transport);
    }
    return STATUS_OK;
}

enum status command_transport(int argc, char **argv, struct diag *diag)
{
    struct arguments arguments = {.diag = diag};
    bool is_done = false;
    enum status status = cli_parse(&argp, argc, argv, &arguments, &is_done, diag);
    return status == STATUS_OK && !is_done ? transport_show(&arguments, diag) : status;
}
