#include "netsim/placement.h"

#include "netsim/base/rng.h"
#include "netsim/replay/replay.h"
#include "photonet/input.h"
#include "photonet/units.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum kind { KIND_LINEAR, KIND_RANDOM, KIND_RAIL, KIND_FILE };

/* Of a host that files name. */
struct naming {
    uint32_t count, part, line; /* ranks so far; who named it last */
};

struct placing {
    const struct job *job;
    uint32_t host_count, gpus_per_nic;
    uint8_t *is_taken; /* host_count */
    struct naming *named; /* host_count */
    uint32_t *rank_host;
    struct arena *scratch;
    struct diag *diag;
};

/* "random:7" to its kind and what stands behind the colon; "" where nothing does. */
static bool text_split(const char *text, enum kind *kind, const char **rest)
{
    static const char *const names[] = {
        [KIND_LINEAR] = "linear", [KIND_RANDOM] = "random", [KIND_RAIL] = "rail", [KIND_FILE] = "file"};
    size_t length = strcspn(text, ":");
    *rest = text[length] == ':' ? text + length + 1 : "";
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        if (strlen(names[i]) == length && strncmp(names[i], text, length) == 0) {
            *kind = (enum kind)i;
            return true;
        }
    }
    return false;
}

static bool number_parse(const char *text, uint64_t *value)
{
    char why[160];
    return quantity_parse_u64(QUANTITY_COUNT, text, value, why);
}

enum status placement_check(const char *text, struct origin at, struct diag *diag)
{
    enum kind kind;
    const char *rest;
    uint64_t number = 1;
    bool is_good = text_split(text, &kind, &rest);
    if (is_good && (kind == KIND_RANDOM || kind == KIND_RAIL) && (rest[0] != '\0' || kind == KIND_RAIL)) {
        is_good = number_parse(rest, &number) && (kind != KIND_RAIL || (number > 0 && number < UINT32_MAX));
    } else if (is_good) {
        is_good = (kind == KIND_FILE) == (rest[0] != '\0');
    }
    return is_good
               ? STATUS_OK
               : diag_input(diag, at,
                            "placement %s: expected linear, random, random:SEED, rail:N (N rails, from 1) or file:PATH", text);
}

/* ---- files ----------------------------------------------------------------------------------------------
 */

/* A host has room for host.gpus_per_nic ranks, whoever names it. */
static enum status host_name(struct placing *placing, const struct job_part *part, struct origin at, uint32_t host)
{
    struct naming *named = &placing->named[host];
    if (named->count == placing->gpus_per_nic) {
        const struct job_part *other = &placing->job->parts[named->part];
        return diag_input(placing->diag, at,
                          "host %u is taken already, by line %u of the placement of job %s; expected each host %s", host, named->line, other->name,
                          placing->gpus_per_nic == 1
                              ? "once (host.gpus_per_nic=1)"
                              : arena_printf(placing->scratch, "at most %u times (host.gpus_per_nic)", placing->gpus_per_nic));
    }
    *named = (struct naming){named->count + 1, (uint32_t)(part - placing->job->parts), at.line};
    placing->is_taken[host] = true;
    return STATUS_OK;
}

static enum status line_take(struct placing *placing, const struct job_part *part, const char *path,
                             uint32_t line, const char *text, uint32_t *rank)
{
    char *end;
    struct origin at = {.path = path, .line = line};
    const char *word = text + strspn(text, " \t");
    if (*word == '\0' || *word == '\n' || *word == '\r' || *word == '#') {
        return STATUS_OK;
    }
    unsigned long host = strtoul(word, &end, 10);
    end += strspn(end, " \t\r\n");
    if (*word < '0' || *word > '9' || (*end != '\0' && *end != '#') || host >= placing->host_count) {
        return diag_input(placing->diag, at, "expected the number of a host below %u", placing->host_count);
    }
    if (*rank == part->rank_count) {
        return diag_input(placing->diag, at, "is a host too many; job %s has %u rank%s", part->name,
                          part->rank_count, plural(part->rank_count, "s"));
    }
    placing->rank_host[part->rank_first + (*rank)++] = (uint32_t)host;
    return host_name(placing, part, at, (uint32_t)host);
}

static enum status file_place(struct placing *placing, const struct job_part *part, const char *path)
{
    char text[256];
    uint32_t rank = 0;
    enum status status = input_check(path, placing->diag);
    if (status != STATUS_OK) {
        return status;
    }
    struct stat info;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode)) {
        return diag_input(placing->diag, (struct origin){.path = path},
                          "is a folder; expected a file with a host a line, the placement of job %s", part->name);
    }
    FILE *file = fopen(path, "r");
    if (file == NULL) {
        return diag_input(placing->diag, (struct origin){.path = path}, "cannot open the placement of job %s",
                          part->name);
    }
    for (uint32_t line = 1; status == STATUS_OK && fgets(text, sizeof text, file) != NULL; line++) {
        status = line_take(placing, part, path, line, text, &rank);
    }
    fclose(file);
    if (status == STATUS_OK && rank < part->rank_count) {
        return diag_input(placing->diag, (struct origin){.path = path},
                          "names %u host%s; expected %u, one for each rank", rank, plural(rank, "s"), part->rank_count);
    }
    return status;
}

/* ---- orders ---------------------------------------------------------------------------------------------
 */

/* The free hosts, in the order in which they are given away; returns how many. */
static uint32_t hosts_order(const struct placing *placing, enum kind kind, uint64_t rails, uint32_t *hosts)
{
    uint32_t count = 0;
    uint64_t step = kind == KIND_RAIL ? rails : 1;
    for (uint64_t rail = 0; rail < step && rail < placing->host_count; rail++) {
        for (uint64_t host = rail; host < placing->host_count; host += step) {
            if (!placing->is_taken[host]) {
                hosts[count++] = (uint32_t)host;
            }
        }
    }
    return count;
}

static void hosts_shuffle(uint32_t *hosts, uint32_t count, uint32_t wanted, uint64_t seed, uint32_t part)
{
    for (uint32_t i = 0; i < wanted && i < count; i++) {
        uint32_t at = i + rng_below(rng_draw(seed, RNG_PLACE ^ part, i), count - i), chosen = hosts[at];
        hosts[at] = hosts[i];
        hosts[i] = chosen;
    }
}

static enum status hosts_give(struct placing *placing, uint32_t part_id, enum kind kind, const char *rest)
{
    const struct job_part *part = &placing->job->parts[part_id];
    uint32_t *hosts = arena_array(placing->scratch, placing->host_count, uint32_t);
    uint64_t number = 1;
    number_parse(rest, &number);
    if (kind == KIND_RAIL && number > placing->host_count) {
        return diag_set(placing->diag, STATUS_INPUT, "placement rail:%" PRIu64 " of job %s: the fabric has %u host%s; expected no "
                                                     "more rails than hosts", number, part->name, placing->host_count,
                        plural(placing->host_count, "s"));
    }
    uint32_t count = hosts_order(placing, kind, number, hosts), gpus = placing->gpus_per_nic;
    uint32_t wanted = (part->rank_count + gpus - 1) / gpus;
    if (count < wanted) {
        return diag_set(
            placing->diag, STATUS_INPUT,
            "job %s has %u rank%s, %u a host, but %u of the fabric's %u hosts %s free; expected a larger fabric or a "
            "placement by file",
            part->name, part->rank_count, plural(part->rank_count, "s"), gpus, count, placing->host_count,
            count == 1 ? "is" : "are");
    }
    if (kind == KIND_RANDOM) {
        hosts_shuffle(hosts, count, wanted, number, part_id);
    }
    for (uint32_t rank = 0; rank < part->rank_count; rank++) {
        placing->rank_host[part->rank_first + rank] = hosts[rank / gpus];
        placing->is_taken[hosts[rank / gpus]] = true;
    }
    return STATUS_OK;
}

static enum status part_place(struct placing *placing, uint32_t part_id, bool by_file)
{
    const struct job_part *part = &placing->job->parts[part_id];
    const char *text = part->placement == NULL ? "linear" : part->placement, *rest;
    enum kind kind;
    bool is_known = text_split(text, &kind, &rest);
    assert(is_known); /* placement_check */
    if ((kind == KIND_FILE) != by_file) {
        return STATUS_OK;
    }
    return by_file ? file_place(placing, part, rest) : hosts_give(placing, part_id, kind, rest);
}

/* The replay counts the ranks of a host in eight bits. */
static enum status crowds_check(const struct placing *placing)
{
    uint32_t *ranks = arena_array(placing->scratch, placing->host_count, uint32_t);
    for (uint32_t rank = 0; rank < placing->job->rank_count; rank++) {
        uint32_t host = placing->rank_host[rank];
        if (++ranks[host] > RANKS_PER_HOST_MAX) {
            return diag_set(placing->diag, STATUS_INPUT, "host %u has more than %u ranks", host,
                            RANKS_PER_HOST_MAX);
        }
    }
    return STATUS_OK;
}

static enum status parts_place(struct placing *placing)
{
    enum status status = STATUS_OK;
    for (int by_file = 1; by_file >= 0; by_file--) {
        for (uint32_t part = 0; part < placing->job->part_count && status == STATUS_OK; part++) {
            status = part_place(placing, part, by_file != 0);
        }
    }
    return status == STATUS_OK ? crowds_check(placing) : status;
}

enum status placement_make(const struct job *job, uint32_t host_count, uint32_t gpus_per_nic, struct arena *arena,
                           const uint32_t **rank_host, struct diag *diag)
{
    uint32_t *hosts = arena_array(arena, job->rank_count, uint32_t);
    *rank_host = hosts;
    for (uint32_t rank = 0; rank < job->rank_count && job->part_count == 0; rank++) {
        hosts[rank] = rank / gpus_per_nic;
    }
    if (job->part_count == 0) {
        return STATUS_OK;
    }
    struct arena *scratch = arena_new("placement");
    struct placing placing = {job,   host_count, gpus_per_nic, arena_array(scratch, host_count, uint8_t),
                              arena_array(scratch, host_count, struct naming), hosts, scratch, diag};
    enum status status = parts_place(&placing);
    arena_free(scratch);
    return status;
}
