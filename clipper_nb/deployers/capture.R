# capture(fn, extra): everything that `fn` needs in another R: the globals it uses, directly or through its helpers,
# and packages. Found by reading the code, so a name built at run time, as in get(paste0("a", i)), is not found.
function(fn, extra) {
  globals <- new.env()
  attached <- rev(sub("^package:", "", grep("^package:", search(), value = TRUE)))  # the order decides what masks what
  used <- extra
  classes <- character()
  refused <- character()
  seen <- list()

  walk_environment <- function(e, path) {
    if (isNamespace(e)) used <<- union(used, getNamespaceName(e))
    is_shared <- isNamespace(e) || identical(e, globalenv()) || identical(e, baseenv()) || identical(e, emptyenv())
    if (is_shared || startsWith(environmentName(e), "package:") || any(vapply(seen, identical, NA, e))) return()
    seen[[length(seen) + 1L]] <<- e
    variables <- as.list.environment(e, all.names = TRUE)
    for (name in names(variables)) {
      is_missing_argument <- identical(variables[[name]], quote(expr = ))
      if (!is_missing_argument) walk(variables[[name]], if (nzchar(path)) paste0(path, "$", name) else name)
    }
    walk_environment(parent.env(e), path)
  }

  walk_code <- function(code) {
    if (!is.call(code)) return()
    called <- if (is.symbol(code[[1L]])) as.character(code[[1L]]) else ""
    if (called %in% c("::", ":::", "library", "require", "requireNamespace", "loadNamespace") && length(code) > 1L &&
        (is.symbol(code[[2L]]) || is.character(code[[2L]]))) used <<- union(used, as.character(code[[2L]]))
    walk_each(as.list(code))
  }

  walk_each <- function(parts) {
    for (i in seq_along(parts)) if (!identical(parts[[i]], quote(expr = ))) walk_code(parts[[i]])
  }

  walk_function <- function(f, path) {
    if (is.primitive(f)) return()
    e <- environment(f)
    walk_environment(e, path)
    if (isNamespace(topenv(e))) return()
    walk_code(body(f))
    walk_each(formals(f))
    for (name in codetools::findGlobals(f)) {
      at <- e
      while (!identical(at, emptyenv()) && !exists(name, envir = at, inherits = FALSE)) at <- parent.env(at)
      if (startsWith(environmentName(at), "package:")) used <<- union(used, sub("^package:", "", environmentName(at)))
      if (!identical(at, globalenv()) || exists(name, envir = globals, inherits = FALSE)) next
      assign(name, get(name, envir = at), envir = globals)
      walk(globals[[name]], name)
    }
  }

  walk <- function(x, path) {
    if (inherits(x, "connection") || typeof(x) %in% c("externalptr", "weakref")) {
      what <- if (inherits(x, "connection")) "a connection" else "a pointer into this process"
      refused <<- c(refused, paste0("'", path, "' (", what, ")"))
      return()
    }
    classes <<- union(classes, attr(x, "class"))
    if (isS4(x)) used <<- union(used, setdiff(attr(class(x), "package"), ".GlobalEnv"))
    # data.table recreates this pointer when it is missing; the others hold the source text of functions
    others <- attributes(x)[setdiff(names(attributes(x)), c("names", "class", ".internal.selfref", "srcref", "srcfile"))]
    for (value in others) walk(value, path)
    if (is.environment(x)) walk_environment(x, path)
    else if (is.function(x)) walk_function(x, path)
    else if (is.list(x)) {
      x <- unclass(x)
      labels <- if (is.null(names(x))) character(length(x)) else names(x)
      labels <- ifelse(nzchar(labels), paste0("$", labels), paste0("[[", seq_along(x), "]]"))
      for (i in seq_along(x)) walk(x[[i]], paste0(path, labels[i]))
    }
  }

  walk(fn, "")
  # A fitted model is usable only with the package that has the methods of its class.
  for (package in loadedNamespaces()) {
    methods <- asNamespace(package)[[".__NAMESPACE__."]]$S3methods
    if (!is.null(methods) && any(methods[, 2L] %in% classes)) used <- union(used, package)
  }
  with_r <- c("base", "compiler", "datasets", "graphics", "grDevices", "grid", "methods", "parallel", "splines", "stats",
              "stats4", "tcltk", "tools", "utils")
  attached <- setdiff(attached, c(with_r, "clippernb"))  # which deploys from R, and is useless in a replica
  packages <- union(attached, setdiff(used, with_r))
  is_here <- vapply(packages, requireNamespace, NA, quietly = TRUE)
  versions <- vapply(packages[is_here], function(name) as.character(utils::packageVersion(name)), "")
  list(
    refused = refused, missing = packages[!is_here], attached = attached,
    packages = packages[is_here], versions = unname(versions),
    r_version = paste(R.version$major, R.version$minor, sep = "."), library_paths = .libPaths(),
    serialized = if (length(refused) == 0L) serialize(list(fn = fn, globals = as.list(globals, all.names = TRUE)), NULL)
  )
}
