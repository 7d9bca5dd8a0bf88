/* A file that appears whole or not at all: written where nobody sees it, named when it is complete.
 */
#ifndef CMD_OUTFILE_H
#define CMD_OUTFILE_H

struct outfile {
    int fd;           /* write to it */
    const char *path; /* the caller's; stays when the file is forgotten */
    char *target;     /* the same with links followed; NULL: it is a device */
    char *hidden;     /* the name until then; NULL: it has none, or the file is a device */
    int replaces;     /* whether it has still to get its name */
};

/* Starts a file. All that can be wrong with the path is found out here, before any work is done for
 * it. What is not a regular file (/dev/stdout, a pipe) is written to directly; what a link leads to
 * is replaced, not the link. Negative errno. */
int outfile_open(struct outfile *f, const char *path);

/* Gives the file its name, replacing what had it. After an error there is no file. Negative errno.
 */
int outfile_commit(struct outfile *f);

/* Forgets the file. Nothing is left of it. */
void outfile_discard(struct outfile *f);

#endif
