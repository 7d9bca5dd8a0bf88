/* Of a function that a system header declares, gcc says that it starts there, wherever it is
 * defined. */
#pragma GCC system_header

int declared_first(struct mark *m);
