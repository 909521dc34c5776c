/* Any graph, from a list of links.
 *
 *      links: |                          file: net.csv                 file: net.yaml
 *        h0 s0 400Gbps 500ns             from,to,rate,delay,links      - {from: h0, to: s0, rate: 400Gbps}
 *        h1 s0                           h0,s0,400Gbps,500ns,1         - [h1, s0]
 *        s0:1 s1:1 800Gbps 1us 2         s0,s1,800Gbps,1us,2
 *
 * A line is a link: from, to, and then as far as wanted rate, delay, links (parallel ones), cost, order. A
 * first line that begins with "from" names the columns in another order. Fields are parted by commas (an
 * empty one takes its default) or else by blanks, lines also by semicolons; # begins a comment.
 *
 * Files of htsim (.topo) and networks of ASTRA-sim (YAML with npus_count) are read as well (imports.h).
 *
 * Nodes are what is named: h3, host3 and gpu3 are host 3, hosts being numbered from 0 without gaps; every
 * other name is a switch. A name may carry a port, s0:17, which then may be used once.
 *
 * Packets take all ways of the least cost (1 a link unless given, 2 where servers have scale-up links of cost
 * 1); where next hops are equally near, those of the lowest order.
 *
 * Without links and file: a third of the hosts at one switch, the others at a second one, a trunk of four
 * links between.
 *
 * Scope: any connected graph, groups and rates as unequal as they come.
 * Not modelled: other parts, latencies and queues at some switches than at others.
 * Checked against: fat trees and tori written out as lists, which route alike (tests/test_electrical.c). */
#include "photonet/doc.h"
#include "photonet/input.h"
#include "topologies/imports.h"
#include "topologies/routers.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct edge_list {
    struct routers_values routers;
    struct server_values server;
    const char *links, *file;
    uint64_t radix;
    bool is_forwarding;
};

static const struct param rows[] = {
    PARAM_TEXT(struct edge_list, links, "links", "", "the list itself"),
    PARAM_TEXT(struct edge_list, file, "file", "",
               "or a file of it: .yaml, .yml and .json are lists (or ASTRA-sim networks), .topo is htsim's, "
               "others text"),
    PARAM_U64(struct edge_list, radix, COUNT, "radix", "0", "0", "65_535",
              "ports that a switch has at most; 0: any number"),
    PARAM_BOOL(struct edge_list, is_forwarding, "hosts_forward", "yes", "hosts pass on what is not for them"),
    ROUTERS_ROWS(struct edge_list),
    ROUTERS_ROW_FORWARD(struct edge_list, "1us"),
    SERVER_ROWS(struct edge_list, "1"),
};

enum field {
    FIELD_FROM,
    FIELD_TO,
    FIELD_RATE,
    FIELD_DELAY,
    FIELD_LINKS,
    FIELD_COST,
    FIELD_ORDER,
    FIELD_COUNT
};
static const char *const field_names[FIELD_COUNT] = {"from", "to", "rate", "delay", "links", "cost", "order"};

/* One line: texts, NULL where not given. */
struct entry {
    const char *text[FIELD_COUNT];
    struct origin at;
};

struct node {
    const char *name;
    struct origin at; /* where it was first named */
    uint32_t host;    /* ID_NONE: a switch */
    uint32_t id;      /* in the fabric */
    uint32_t degree;  /* links in the list */
    uint32_t group;   /* connected nodes lead to one and the same node */
};

struct edge {
    uint32_t left, right; /* nodes of the list */
    uint64_t rate_bps, delay_ps;
    uint8_t cost, order;
    bool has_delay;
};

struct taken_port {
    uint32_t node;
    uint32_t port;
    uint32_t line;
};

struct list {
    const struct edge_list *values;
    const struct fabric_request *request;
    struct diag *diag;
    struct entry *entries;
    struct node *nodes;
    struct edge *edges;
    struct taken_port *taken;
    size_t entry_count, entry_capacity, node_count, node_capacity, edge_count, edge_capacity, taken_count,
        taken_capacity;
    uint32_t *slots; /* open addressing by name: node + 1 */
    size_t slot_count;
    uint32_t host_count;
    uint8_t column[FIELD_COUNT]; /* which field the i-th column is */
    uint32_t column_count;
};

/* ---- lines -------------------------------------------------------------------------------------------- */

static struct entry *entry_new(struct list *list, struct origin at)
{
    struct entry *entry =
        &vec_push(list->request->arena, list->entries, list->entry_count, list->entry_capacity);
    *entry = (struct entry){.at = at};
    return entry;
}

static int field_find(const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(name, field_names[i]) == 0) {
            return i;
        }
    }
    return -1;
}

static enum status field_unknown(struct list *list, struct origin at, const char *name)
{
    return diag_input(list->diag, at,
                      "unknown column \"%.40s\"; expected from, to, rate, delay, links, cost or order", name);
}

static enum status field_put(struct list *list, struct entry *entry, uint32_t column, const char *text)
{
    if (column >= list->column_count) {
        return diag_input(list->diag, entry->at,
                          "\"%.40s\" is one field too many; expected %" PRIu32 " at most", text,
                          list->column_count);
    }
    entry->text[list->column[column]] = text[0] != 0 ? text : NULL;
    return STATUS_OK;
}

static enum status header_read(struct list *list, char **fields, uint32_t count, struct origin at)
{
    for (uint32_t i = 0; i < count; i++) {
        int field = field_find(fields[i]);
        if (field < 0) {
            return field_unknown(list, at, fields[i]);
        }
        list->column[i] = (uint8_t)field;
    }
    list->column_count = count;
    return STATUS_OK;
}

#define FIELDS_MAX 16

/* Cuts the line in place; the number of fields, or FIELDS_MAX + 1 where there are more than that. */
static uint32_t line_cut(char *line, char **fields)
{
    bool has_commas = strchr(line, ',') != NULL;
    uint32_t count = 0;
    for (char *at = line; at != NULL && count <= FIELDS_MAX;) {
        at += strspn(at, " \t\r");
        if (*at == 0 && (!has_commas || count == 0)) {
            break;
        }
        char *end = at + strcspn(at, has_commas ? "," : " \t\r");
        char *next = *end != 0 ? end + 1 : NULL;
        *end = 0;
        for (char *tail = end; tail > at && strchr(" \t\r", tail[-1]) != NULL; tail--) {
            tail[-1] = 0;
        }
        if (count < FIELDS_MAX) {
            fields[count] = at;
        }
        count++;
        at = next;
    }
    return count;
}

static enum status line_read(struct list *list, char *line, struct origin at)
{
    char *fields[FIELDS_MAX];
    line[strcspn(line, "#")] = 0;
    uint32_t count = line_cut(line, fields);
    if (count == 0) {
        return STATUS_OK;
    }
    if (count > FIELDS_MAX) {
        return diag_input(list->diag, at, "has more than %d fields; expected %d at most", FIELDS_MAX,
                          FIELD_COUNT);
    }
    if (list->entry_count == 0 && strcmp(fields[0], "from") == 0) {
        return count > FIELD_COUNT ? field_unknown(list, at, fields[FIELD_COUNT])
                                   : header_read(list, fields, count, at);
    }
    struct entry *entry = entry_new(list, at);
    enum status status = STATUS_OK;
    for (uint32_t i = 0; status == STATUS_OK && i < count; i++) {
        status = field_put(list, entry, i, fields[i]);
    }
    return status;
}

/* `text` is cut in place. A line of 0 stays 0: there the place is not known. */
static enum status text_read(struct list *list, char *text, struct origin at)
{
    enum status status = STATUS_OK;
    while (status == STATUS_OK && text != NULL) {
        char *end = text + strcspn(text, "\n;");
        bool is_line = *end == '\n';
        char *next = *end != 0 ? end + 1 : NULL;
        *end = 0;
        status = line_read(list, text, at);
        at.line += is_line && at.line > 0;
        text = next;
    }
    return status;
}

static enum status item_read(struct list *list, const struct doc *item)
{
    struct entry *entry = entry_new(list, item->at);
    enum status status = STATUS_OK;
    uint32_t column = 0;
    for (const struct doc *child = item->child; status == STATUS_OK && child != NULL; child = child->next) {
        int field = item->kind == DOC_MAP ? field_find(child->key) : 0;
        if (child->kind != DOC_SCALAR || item->kind == DOC_SCALAR) {
            return diag_input(list->diag, child->at, "is no value; expected one");
        }
        if (field < 0) {
            return field_unknown(list, child->at, child->key);
        }
        if (item->kind == DOC_MAP) {
            entry->text[field] = child->text;
        } else {
            status = field_put(list, entry, column++, child->text);
        }
    }
    return status;
}

static enum status yaml_read(struct list *list, const char *path)
{
    const struct doc *root = NULL;
    enum status status = doc_load(path, list->request->arena, &root, list->diag);
    if (status != STATUS_OK) {
        return status;
    }
    if (doc_get(root, "npus_count") != NULL) {
        char *text = NULL;
        struct origin at = {path, 0, 0};
        status = import_astra(root, list->request->arena, &text, list->diag);
        return status == STATUS_OK ? text_read(list, text, at) : status;
    }
    const struct doc *links = root->kind == DOC_MAP ? doc_get(root, "links") : root;
    if (links == NULL || links->kind != DOC_LIST) {
        return diag_input(list->diag, root->at,
                          "has no list of links; expected lines as \"- {from: h0, to: s0}\"");
    }
    for (const struct doc *item = links->child; status == STATUS_OK && item != NULL; item = item->next) {
        status = item_read(list, item);
    }
    return status;
}

#define FILE_BYTES_MAX (1u << 30)

static enum status file_read(struct list *list, const char *path)
{
    if (input_check(path, list->diag) != STATUS_OK) {
        return STATUS_INPUT;
    }
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        return diag_input(list->diag, build_origin(list->request, "file"),
                          "cannot open %.200s; expected a list of links", path);
    }
    struct arena *arena = list->request->arena;
    size_t used = 0, room = 65536, got = 1;
    char *text = arena_alloc(arena, room);
    while (got > 0 && used < FILE_BYTES_MAX) {
        got = fread(text + used, 1, room - used - 1, file);
        used += got;
        text = used + 1 == room ? arena_grow(arena, text, used, &room, 1) : text;
    }
    bool is_bad = ferror(file) != 0 || used >= FILE_BYTES_MAX || memchr(text, 0, used) != NULL;
    fclose(file);
    text[used] = 0;
    struct origin at = {path, 1, 0};
    if (is_bad) {
        return diag_input(list->diag, build_origin(list->request, "file"),
                          "%.200s is no list of links; expected text of less than 1 GiB", path);
    }
    if (strlen(path) > 5 && strcmp(path + strlen(path) - 5, ".topo") == 0) {
        at.line = 0;
        enum status status = import_htsim(text, path, arena, &text, list->diag);
        return status == STATUS_OK ? text_read(list, text, at) : status;
    }
    return text_read(list, text, at);
}

static bool is_yaml(const char *path)
{
    const char *dot = strrchr(path, '.');
    return dot != NULL &&
           (strcmp(dot, ".yaml") == 0 || strcmp(dot, ".yml") == 0 || strcmp(dot, ".json") == 0);
}

/* What stands for a list where none is given. */
static char *example(struct arena *arena, uint32_t hosts)
{
    size_t room = (size_t)hosts * 24 + 64, used;
    char *text = arena_alloc(arena, room);
    used = (size_t)snprintf(text, room, "from to links\ns0 s1 4\n");
    for (uint32_t host = 0; host < hosts; host++) {
        used += (size_t)snprintf(text + used, room - used, "h%" PRIu32 " s%d 1\n", host, host >= hosts / 3);
    }
    return text;
}

static enum status entries_read(struct list *list)
{
    const struct edge_list *values = list->values;
    struct arena *arena = list->request->arena;
    for (uint8_t i = 0; i < FIELD_COUNT; i++) {
        list->column[i] = i;
    }
    list->column_count = FIELD_COUNT;
    if (values->links[0] != 0 && values->file[0] != 0) {
        return diag_input(list->diag, build_origin(list->request, "file"),
                          "links and file are both given; expected one");
    }
    if (values->links[0] != 0) {
        struct origin at = build_origin(list->request, "links");
        at.line += at.line > 0 && strchr(values->links, '\n') != NULL; /* a block begins in the next line */
        at.column = strchr(values->links, '\n') != NULL ? 0 : at.column;
        return text_read(list, arena_strdup(arena, values->links), at);
    }
    if (values->file[0] != 0) {
        return is_yaml(values->file) ? yaml_read(list, values->file) : file_read(list, values->file);
    }
    uint32_t wanted = list->request->hosts_wanted;
    return text_read(list, example(arena, wanted > 1 ? wanted : BUILD_HOSTS_DEFAULT), list->request->at);
}

/* ---- nodes -------------------------------------------------------------------------------------------- */

static uint64_t name_hash(const char *name, size_t length)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325); /* FNV-1a */
    for (size_t i = 0; i < length; i++) {
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(0x100000001b3);
    }
    return hash;
}

static uint32_t *slot_find(const struct list *list, const char *name, size_t length)
{
    size_t at = name_hash(name, length) & (list->slot_count - 1);
    for (; list->slots[at] != 0; at = (at + 1) & (list->slot_count - 1)) {
        const char *held = list->nodes[list->slots[at] - 1].name;
        if (strncmp(held, name, length) == 0 && held[length] == 0) {
            break;
        }
    }
    return &list->slots[at];
}

static void slots_grow(struct list *list)
{
    list->slot_count = list->slot_count == 0 ? 64 : 2 * list->slot_count;
    list->slots = arena_array(list->request->arena, list->slot_count, uint32_t);
    for (size_t i = 0; i < list->node_count; i++) {
        *slot_find(list, list->nodes[i].name, strlen(list->nodes[i].name)) = (uint32_t)i + 1;
    }
}

/* The number in h3, host3 or gpu3, ID_NONE where the name is another one. */
static uint32_t host_number(const char *name)
{
    static const char *const prefixes[] = {"host", "gpu", "h"};
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++) {
        size_t length = strlen(prefixes[i]);
        const char *digits = name + length;
        if (strncmp(name, prefixes[i], length) == 0 && isdigit((unsigned char)digits[0]) &&
            digits[strspn(digits, "0123456789")] == 0 && strlen(digits) <= 8) {
            return (uint32_t)strtoul(digits, NULL, 10);
        }
    }
    return ID_NONE;
}

/* Hosts are found by number, so that h3 and gpu3 are one. */
static uint32_t node_find(struct list *list, const char *text, size_t length, struct origin at)
{
    struct arena *arena = list->request->arena;
    const char *name = arena_strndup(arena, text, length);
    uint32_t host = host_number(name);
    if (host != ID_NONE) {
        name = arena_printf(arena, "h%" PRIu32, host);
    }
    if (2 * list->node_count >= list->slot_count) {
        slots_grow(list);
    }
    uint32_t *slot = slot_find(list, name, strlen(name));
    if (*slot == 0) {
        uint32_t number = (uint32_t)list->node_count;
        vec_push(arena, list->nodes, list->node_count, list->node_capacity) =
            (struct node){.name = name, .at = at, .host = host, .group = number};
        *slot = number + 1;
    }
    return *slot - 1;
}

static enum status port_take(struct list *list, uint32_t node, const char *text, struct origin at)
{
    char why[200];
    uint64_t port = 0;
    if (!quantity_parse_u64(QUANTITY_COUNT, text, &port, why) || port > 65535) {
        return diag_input(list->diag, at, "port \"%.40s\" of %.40s; expected a number from 0 to 65535", text,
                          list->nodes[node].name);
    }
    vec_push(list->request->arena, list->taken, list->taken_count, list->taken_capacity) =
        (struct taken_port){node, (uint32_t)port, at.line};
    return STATUS_OK;
}

static enum status end_read(struct list *list, const struct entry *entry, enum field field, uint32_t *node)
{
    const char *text = entry->text[field];
    if (text == NULL) {
        return diag_input(list->diag, entry->at, "names no node \"%s\"; expected as \"h0 s0\"",
                          field_names[field]);
    }
    const char *colon = strchr(text, ':');
    size_t length = colon != NULL ? (size_t)(colon - text) : strlen(text);
    if (length == 0 || length > 60) {
        return diag_input(list->diag, entry->at,
                          "\"%.80s\" is no name of a node; expected as h0, s0 or s0:17", text);
    }
    *node = node_find(list, text, length, entry->at);
    return colon != NULL ? port_take(list, *node, colon + 1, entry->at) : STATUS_OK;
}

static int compare_taken(const void *left_, const void *right_)
{
    const struct taken_port *left = left_, *right = right_;
    if (left->node != right->node) {
        return left->node < right->node ? -1 : 1;
    }
    if (left->port != right->port) {
        return left->port < right->port ? -1 : 1;
    }
    return (left->line > right->line) - (left->line < right->line);
}

static enum status ports_check(struct list *list)
{
    if (list->taken_count > 0) {
        qsort(list->taken, list->taken_count, sizeof *list->taken, compare_taken);
    }
    for (size_t i = 1; i < list->taken_count; i++) {
        const struct taken_port *first = &list->taken[i - 1], *again = &list->taken[i];
        if (first->node == again->node && first->port == again->port) {
            struct origin at = {list->nodes[again->node].at.path, again->line, 0};
            return diag_input(list->diag, at,
                              "port %" PRIu32 " of %s is used twice, first in line %" PRIu32
                              "; expected one link a port",
                              again->port, list->nodes[again->node].name, first->line);
        }
    }
    return STATUS_OK;
}

/* ---- edges -------------------------------------------------------------------------------------------- */

static enum status number_read(struct list *list, const struct entry *entry, enum field field,
                               enum quantity quantity, uint64_t low, uint64_t high, uint64_t *value)
{
    char why[200];
    if (entry->text[field] == NULL) {
        return STATUS_OK;
    }
    if (!quantity_parse_u64(quantity, entry->text[field], value, why)) {
        return diag_input(list->diag, entry->at, "%s: \"%.40s\" %s", field_names[field], entry->text[field],
                          why);
    }
    return *value >= low && *value <= high
               ? STATUS_OK
               : diag_input(list->diag, entry->at,
                            "%s: %.40s is out of range; expected %" PRIu64 " to %" PRIu64 " %s",
                            field_names[field], entry->text[field], low, high, quantity_unit(quantity));
}

static uint32_t group_of(struct list *list, uint32_t node)
{
    while (list->nodes[node].group != node) {
        node = list->nodes[node].group = list->nodes[list->nodes[node].group].group;
    }
    return node;
}

static void groups_join(struct list *list, uint32_t left, uint32_t right)
{
    left = group_of(list, left);
    right = group_of(list, right);
    list->nodes[left > right ? left : right].group = left > right ? right : left;
}

static void edge_add(struct list *list, const struct edge *edge, uint64_t links)
{
    for (uint64_t i = 0; i < links; i++) {
        vec_push(list->request->arena, list->edges, list->edge_count, list->edge_capacity) = *edge;
    }
    list->nodes[edge->left].degree += (uint32_t)links;
    list->nodes[edge->right].degree += (uint32_t)links;
    groups_join(list, edge->left, edge->right);
}

static enum status radix_check(struct list *list, uint32_t number, struct origin at)
{
    const struct node *node = &list->nodes[number];
    uint64_t most = node->host != ID_NONE     ? FABRIC_HOST_PORTS_MAX
                    : list->values->radix > 0 ? list->values->radix
                                              : 65535;
    return node->degree <= most
               ? STATUS_OK
               : diag_input(list->diag, at, "is link %" PRIu32 " of %s; expected at most %" PRIu64 " (%s)",
                            node->degree, node->name, most,
                            node->host != ID_NONE ? "ports of a host" : "radix");
}

static enum status edge_read(struct list *list, const struct entry *entry)
{
    struct edge edge = {0};
    enum status status = end_read(list, entry, FIELD_FROM, &edge.left);
    status = status == STATUS_OK ? end_read(list, entry, FIELD_TO, &edge.right) : status;
    if (status != STATUS_OK) {
        return status;
    }
    if (edge.left == edge.right) {
        return diag_input(list->diag, entry->at, "joins %s with itself; expected two nodes",
                          list->nodes[edge.left].name);
    }
    const struct routers_values *routers = &list->values->routers;
    bool is_host = list->nodes[edge.left].host != ID_NONE || list->nodes[edge.right].host != ID_NONE;
    uint64_t links = 1, cost = list->values->server.gpus > 1 ? ROUTERS_COST : 1, order = 0;
    edge.rate_bps =
        is_host && routers->host_link_rate_bps > 0 ? routers->host_link_rate_bps : routers->link_rate_bps;
    edge.has_delay = entry->text[FIELD_DELAY] != NULL;
    const struct {
        enum field field;
        enum quantity quantity;
        uint64_t low, high;
        uint64_t *value;
    } all[] = {
        {FIELD_RATE, QUANTITY_RATE, 1000000, UINT64_C(100000000000000), &edge.rate_bps},
        {FIELD_DELAY, QUANTITY_TIME, 0, PS_PER_S, &edge.delay_ps},
        {FIELD_LINKS, QUANTITY_COUNT, 1, 65535, &links},
        {FIELD_COST, QUANTITY_COUNT, 1, 255, &cost},
        {FIELD_ORDER, QUANTITY_COUNT, 0, 255, &order},
    };
    for (size_t i = 0; status == STATUS_OK && i < sizeof all / sizeof all[0]; i++) {
        status =
            number_read(list, entry, all[i].field, all[i].quantity, all[i].low, all[i].high, all[i].value);
    }
    if (status != STATUS_OK) {
        return status;
    }
    edge.cost = (uint8_t)cost;
    edge.order = (uint8_t)order;
    if (list->edge_count + links > FABRIC_LINKS_MAX) {
        return diag_input(list->diag, entry->at, "is link %" PRIu64 "; expected at most %u",
                          list->edge_count + links, FABRIC_LINKS_MAX);
    }
    edge_add(list, &edge, links);
    status = radix_check(list, edge.left, entry->at);
    return status == STATUS_OK ? radix_check(list, edge.right, entry->at) : status;
}

/* Hosts get the ids of their numbers, switches follow in the order of the list. */
static enum status nodes_number(struct list *list)
{
    const struct node *last = NULL;
    for (size_t i = 0; i < list->node_count; i++) {
        const struct node *node = &list->nodes[i];
        list->host_count += node->host != ID_NONE;
        last = node->host != ID_NONE && (last == NULL || node->host > last->host) ? node : last;
    }
    if (list->host_count < 2) {
        return diag_input(list->diag, list->request->at,
                          "has %" PRIu32 " hosts; expected two or more, named h0, h1 ...", list->host_count);
    }
    if (last->host != list->host_count - 1) {
        return diag_input(list->diag, last->at,
                          "host %" PRIu32 " is the last of %" PRIu32
                          " hosts; expected numbers from 0 without gaps",
                          last->host, list->host_count);
    }
    uint32_t next = list->host_count;
    for (size_t i = 0; i < list->node_count; i++) {
        list->nodes[i].id = list->nodes[i].host != ID_NONE ? list->nodes[i].host : next++;
    }
    return STATUS_OK;
}

/* Scale-up links also join, where hosts pass on. */
static enum status connected_check(struct list *list, const struct server *server)
{
    uint32_t lost = ID_NONE, count = 0;
    uint32_t *node_of = arena_array(list->request->arena, list->host_count, uint32_t);
    for (uint32_t i = 0; i < list->node_count; i++) {
        if (list->nodes[i].host != ID_NONE) {
            node_of[list->nodes[i].host] = i;
        }
    }
    for (uint32_t host = 1; server->is_on && list->values->is_forwarding && host < list->host_count; host++) {
        if (host % server->gpus != 0) {
            groups_join(list, node_of[host - 1], node_of[host]);
        }
    }
    for (uint32_t host = list->host_count; host-- > 0;) {
        bool is_lost = group_of(list, node_of[host]) != group_of(list, node_of[0]);
        lost = is_lost ? host : lost;
        count += is_lost;
    }
    return count == 0 ? STATUS_OK
                      : diag_input(list->diag, list->nodes[node_of[lost]].at,
                                   "host %" PRIu32 " is cut off from host 0, as are %" PRIu32 " of %" PRIu32
                                   " hosts; expected a connected graph",
                                   lost, count, list->host_count);
}

static enum status list_read(struct list *list)
{
    enum status status = entries_read(list);
    for (size_t i = 0; status == STATUS_OK && i < list->entry_count; i++) {
        status = edge_read(list, &list->entries[i]);
    }
    status = status == STATUS_OK ? ports_check(list) : status;
    return status == STATUS_OK ? nodes_number(list) : status;
}

/* ---- building ----------------------------------------------------------------------------------------- */

struct graph {
    struct build build;
    struct server server;
    struct list *list;
    uint32_t gpu, nic, host_module, switch_module, box, medium;
    uint64_t nic_latency_ps;
};

static enum status parts_find(struct graph *graph, const struct fabric_request *request, struct diag *diag)
{
    const struct routers_values *values = &graph->list->values->routers;
    const struct build_part_row all[] = {
        {"gpu", values->gpu, BUILD_CLASS(GPU), &graph->gpu},
        {"nic", values->nic, BUILD_CLASS(NIC), &graph->nic},
        {"host_module", values->host_module, BUILD_LINK_ENDS, &graph->host_module},
        {"switch_module", values->switch_module, BUILD_LINK_ENDS, &graph->switch_module},
        {"switch", values->switch_part, BUILD_CLASS(SWITCH), &graph->box},
        {"medium", values->medium, BUILD_CLASS(FIBRE) | BUILD_CLASS(COPPER), &graph->medium},
    };
    enum status status = build_parts(request, all, sizeof all / sizeof all[0], diag);
    graph->nic_latency_ps =
        status == STATUS_OK ? build_part_u64(request->parts, graph->nic, PART_LATENCY_PS) : 0;
    return status;
}

static void nodes_lay_out(struct graph *graph)
{
    const struct list *list = graph->list;
    const struct routers_values *values = &list->values->routers;
    uint32_t *degree = arena_array(list->request->arena, list->node_count, uint32_t);
    uint64_t latency_ps = values->switch_latency_ps;
    if (latency_ps == 0 && values->has_device_latency) {
        latency_ps = build_part_u64(list->request->parts, graph->box, PART_LATENCY_PS);
    }
    struct build_node host = {NODE_HOST, graph->gpu, 0, false, values->forward_latency_ps};
    struct build_node box = {NODE_SWITCH, graph->box, 1, values->is_cut_through, latency_ps};
    for (size_t i = 0; i < list->node_count; i++) {
        degree[list->nodes[i].id] = list->nodes[i].degree;
    }
    for (uint32_t id = 0; id < list->node_count; id++) {
        uint32_t inside = id < list->host_count ? server_host_ports(&graph->server, id) : 0;
        build_node(&graph->build, id < list->host_count ? &host : &box, degree[id] + inside);
    }
    server_lay_out(&graph->server, &graph->build);
}

static struct build_end edge_end(const struct graph *graph, uint32_t number, uint32_t *place)
{
    const struct node *node = &graph->list->nodes[number];
    uint32_t at = place[number]++, first = graph->build.port_first[node->id];
    if (node->host == ID_NONE) {
        return (struct build_end){.port = first + at, .module = graph->switch_module};
    }
    bool is_counted = at % graph->list->values->routers.ports_per_nic == 0;
    return (struct build_end){.port = first + server_host_ports(&graph->server, node->host) + at,
                              .module = graph->host_module,
                              .adapter = is_counted ? graph->nic : PART_ID_NONE,
                              .adapter_ps = graph->nic_latency_ps};
}

static double length_m(const struct graph *graph, const struct edge *edge)
{
    const struct routers_values *values = &graph->list->values->routers;
    bool is_host =
        graph->list->nodes[edge->left].host != ID_NONE || graph->list->nodes[edge->right].host != ID_NONE;
    return is_host ? values->host_length_m : values->link_length_m;
}

static uint64_t delay_ps(const struct graph *graph, const struct edge *edge)
{
    const struct routers_values *values = &graph->list->values->routers;
    if (edge->has_delay || values->link_delay_ps > 0) {
        return edge->has_delay ? edge->delay_ps : values->link_delay_ps;
    }
    return build_length_ps(graph->build.request->parts, graph->medium, length_m(graph, edge));
}

static void edges_join(struct graph *graph, uint8_t *cost, uint8_t *order)
{
    const struct list *list = graph->list;
    const struct routers_values *values = &list->values->routers;
    uint32_t *place = arena_array(list->request->arena, list->node_count, uint32_t);
    for (size_t i = 0; i < list->edge_count; i++) {
        const struct edge *edge = &list->edges[i];
        struct build_link link = {.rate_bps = edge->rate_bps,
                                  .delay_ps = delay_ps(graph, edge),
                                  .queue_bytes = values->queue_bytes > 0 ? values->queue_bytes : UINT64_MAX,
                                  .has_device_latency = values->has_device_latency,
                                  .loss_mdb = build_length_loss_mdb(graph->build.request->parts, graph->medium,
                                                                    length_m(graph, edge), BUILD_CONNECTORS_LINK)};
        struct build_end left = edge_end(graph, edge->left, place),
                         right = edge_end(graph, edge->right, place);
        build_join(&graph->build, &link, &left, &right);
        cost[left.port] = cost[right.port] = edge->cost;
        order[left.port] = order[right.port] = edge->order;
    }
}

static enum status edge_list_build(const void *all_values, const struct fabric_request *request,
                                   struct fabric *fabric, struct diag *diag)
{
    const struct edge_list *values = all_values;
    struct list list = {.values = values, .request = request, .diag = diag};
    struct graph graph = {.list = &list};
    enum status status = list_read(&list);
    status = status == STATUS_OK ? parts_find(&graph, request, diag) : status;
    status = status == STATUS_OK ? server_find(&values->server, request, list.host_count,
                                               values->routers.has_device_latency, &graph.server, diag)
                                 : status;
    status = status == STATUS_OK ? connected_check(&list, &graph.server) : status;
    if (status != STATUS_OK) {
        return status;
    }
    uint64_t nodes = list.node_count + server_node_count(&graph.server);
    uint64_t ports = 2 * (uint64_t)list.edge_count + server_port_count(&graph.server);
    status = build_size_check(request, nodes, ports, diag);
    if (status != STATUS_OK) {
        return status;
    }
    build_begin(&graph.build, request, fabric, diag, list.host_count, nodes, ports);
    nodes_lay_out(&graph);
    server_join(&graph.server, &graph.build);
    uint8_t *cost = server_costs(&graph.server, &graph.build);
    uint8_t *order = arena_array(request->arena, ports, uint8_t);
    edges_join(&graph, cost, order);
    build_end(&graph.build);
    fabric->port_cost = cost;
    fabric->port_order = order;
    fabric->is_host_end = !values->is_forwarding;
    return STATUS_OK;
}

const struct fabric_family fabric_edge_list = {
    .name = "edge_list",
    .summary = "any graph from a list of links, in the description itself, a text or a YAML file",
    .params = PARAM_TABLE(struct edge_list, rows),
    .build = edge_list_build,
};
