/* A file that a plain reader can open at any moment, whatever happens to its writer: an HDF5 file driver.
 *
 * HDF5 changes its metadata in place. A process that is killed between two of those writes leaves a file that
 * no reader opens, and a kill can come at any of them. So HDF5 never writes to the file that readers see:
 *
 *        writes ──► PATH.part                    PATH  (what readers open)
 *                      │  twin_publish: one rename exchanges the two
 *                      ▼
 *                   PATH         PATH.part  ◄── writing goes on here, once the extents that were written
 *                                               since the last publication have been copied over
 *
 * Invariants:
 *   I1  PATH is only ever the target of a rename: at every instant it is the file as it was before the first
 *       publication, or as it was at one of the publications, whole.
 *   I2  At a publication the working copy holds every byte that HDF5 has flushed.
 *   I3  Before the first write after a publication both copies are equal, byte for byte.
 *   I4  PATH.part exists, locked, from twin_create to twin_close, so that a second writer is refused.
 *
 * Cost: every byte is written twice and takes twice the room until twin_close removes the second copy; a
 * publication costs a rename and, at the next write, a copy of what changed, never of the whole file. A
 * reader that keeps PATH open over two publications should open it again: the copy that it holds has become
 * the working one. After kill -9 a PATH.part may be left; the next run with this output takes it over.
 *
 * Rejected: SWMR and the latest format (with HDF5 1.10 the file of a killed writer is refused until h5clear
 * has been run on it); holding evictions back between flushes in one file (a kill in the middle of a flush
 * leaves half of the metadata new, and freed chunks are used again before that); copying the whole file at
 * each flush and renaming the copy (quadratic in the length of the run); one file a segment, joined by
 * external links or virtual datasets (no longer one file); a journal beside the file (plain readers do not
 * replay it). */
#ifndef PHOTONET_OUTPUT_TWIN_H
#define PHOTONET_OUTPUT_TWIN_H

#include "photonet/arena.h"
#include "photonet/status.h"

#include <hdf5.h>

struct twin;

/* Opens PATH.part for writing; PATH itself is not touched before the first publication. */
enum status twin_create(const char *path, struct arena *arena, struct twin **twin, struct diag *diag);

/* A new HDF5 file on the twin (negative on failure); H5Fclose it before twin_close. */
hid_t twin_h5_create(struct twin *twin);

/* PATH becomes what has been written so far: call after H5Fflush or H5Fclose. */
enum status twin_publish(struct twin *twin, struct diag *diag);

/* Removes the working copy; PATH stays as last published. */
void twin_close(struct twin *twin);

/* errno of the first system call that failed, 0 where none did: ask after each call of HDF5, which itself is told that all went
 * well. `twin_path` for messages. */
int twin_errno(const struct twin *twin);
const char *twin_path(const struct twin *twin);

#endif
