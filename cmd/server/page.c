/* The page for "/": the routes with their parameters, and curl lines to copy. It loads nothing from
 * elsewhere. */
#include "cmd/server/server.h"

#include <ctype.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static const char style[] =
    ":root{color-scheme:light dark;--bg:#fff;--fg:#1c2530;--dim:#5b6875;--line:#dfe4ea;"
    "--soft:#f4f6f9;--link:#0a58b8}"
    "@media(prefers-color-scheme:dark){:root{--bg:#14181d;--fg:#e4e9ef;--dim:#9aa7b4;"
    "--line:#2c343d;--soft:#1d232a;--link:#7db8ff}}"
    "*{box-sizing:border-box}"
    "body{margin:0 auto;padding:2rem 1.5rem 3rem;max-width:62rem;background:var(--bg);"
    "color:var(--fg);font:15px/1.5 system-ui,-apple-system,'Segoe UI',Roboto,sans-serif}"
    "h1{margin:0;font-size:1.5rem;font-weight:650}p{margin:.35rem 0}.dim{color:var(--dim)}"
    "section{border-top:1px solid var(--line);margin-top:1.3rem;padding-top:1.1rem}"
    "h2{margin:0;font-size:1.05rem}h2 span{font-weight:400;color:var(--dim);margin-left:.6rem}"
    "a{color:var(--link);text-decoration:none}a:hover,a:focus-visible{text-decoration:underline}"
    "code{font-family:ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace;font-size:.87em}"
    "dl{display:grid;grid-template-columns:max-content 1fr;gap:.15rem 1.2rem;margin:.5rem 0}"
    "dt{font-weight:600}dd{margin:0;color:var(--dim)}"
    ".cmd{display:flex;align-items:center;gap:.5rem;margin-top:.4rem}"
    ".cmd code{background:var(--soft);border-radius:5px;padding:.2rem "
    ".55rem;overflow-wrap:anywhere}"
    "button{font:inherit;font-size:.78rem;color:var(--link);background:none;"
    "border:1px solid var(--line);border-radius:5px;padding:.05rem .5rem;cursor:pointer}"
    "button:hover{background:var(--soft)}";

static const char script[] =
    "document.querySelectorAll('.cmd button').forEach(function(b){b.hidden=!navigator.clipboard;"
    "b.onclick=function(){navigator.clipboard.writeText(b.previousElementSibling.textContent)"
    ".then(function(){b.textContent='copied';setTimeout(function(){b.textContent='copy'},1500)})}})"
    ";";

/* The address as the reader knows it, for the curl lines; only what a host may look like. */
static const char *checked_host(const char *host)
{
    const char *s = host ? host : "";

    while (isalnum((unsigned char)*s) || (*s && strchr("-._:[]", *s)))
        s++;
    return s != host && host && !*s && strlen(host) < 256 ? host : "127.0.0.1:6060";
}

static void put_param(FILE *f, const struct param *p)
{
    fprintf(f, "<dt><code>%s</code><dd>", p->name);
    if (p->kind == PARAM_INT)
        fprintf(f, "%" PRId64 " to %" PRId64 ", default %" PRId64, p->min, p->max, p->def);
    else if (p->kind == PARAM_BOOL)
        fprintf(f, "true or false, default %s", p->def ? "true" : "false");
    else
        for (int i = 0; p->choices[i]; i++)
            fprintf(f, "%s%s%s", i ? ", " : "", p->choices[i], i ? "" : " (the slow one, default)");
}

static void put_route(FILE *f, const struct route *r, const char *host)
{
    fprintf(f, "<section><h2><code>%s</code><span>%s</span></h2>\n", r->path, r->what);
    if (r->params) {
        fputs("<dl>", f);
        for (const struct param *p = r->params; p->name; p++)
            put_param(f, p);
        fputs("</dl>\n", f);
        if (r->note)
            fprintf(f, "<p class=dim>%s</p>\n", r->note);
    }
    for (int i = 0; r->examples[i]; i++) {
        fprintf(f, "<div class=cmd><code>curl 'http://%s%s", host, r->path);
        for (const char *s = r->examples[i]; *s; s++)
            *s == '&' ? fputs("&amp;", f) : fputc(*s, f);
        fputs("'</code><button>copy</button></div>\n", f);
    }
    fputs("</section>\n", f);
}

static void put_page(FILE *f, const char *host)
{
    fprintf(
        f,
        "<!DOCTYPE html>\n<html lang=en><head><meta charset=utf-8>"
        "<meta name=viewport content='width=device-width,initial-scale=1'>"
        "<link rel=icon href='data:,'><title>demo server</title><style>%s</style></head><body>\n"
        "<h1>A server to profile under load</h1>\n"
        "<p class=dim>Each route runs a lab. Send it load, then look at the profiles: slow first, "
        "then with <code>impl=</code> a fixed variant.</p>\n"
        "<p><a href='/debug/pprof/'>The profiles are at <code>/debug/pprof/</code></a></p>\n",
        style);
    for (const struct route *r = routes; r->path; r++)
        put_route(f, r, host);
    fprintf(f, "<script>%s</script></body></html>\n", script);
}

char *page_make(const char *host, size_t *bytes)
{
    char *page = NULL;
    FILE *f = open_memstream(&page, bytes);

    if (!f)
        return NULL;
    put_page(f, checked_host(host));
    if (fclose(f) != 0) {
        free(page);
        return NULL;
    }
    return page;
}
