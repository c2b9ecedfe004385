# capture(fn, extra, path): everything that `fn` needs in another R: the globals it uses, directly or through its helpers,
# and the session's S3 methods for the classes that travel, which are written to the file, and packages. Found by reading
# the code, so a name built at run time, as in get(paste0("a", i)), is not found.
function(fn, extra, path) {
  globals <- new.env()
  attached <- rev(sub("^package:", "", grep("^package:", search(), value = TRUE)))  # the order decides what masks what
  used <- extra
  classes <- character()
  generics <- character()
  registered <- list()
  sizes <- list()
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
      if (!is_missing_argument) walk_variable(variables[[name]], if (nzchar(path)) paste0(path, "$", name) else name, path)
    }
    walk_environment(parent.env(e), path)
  }

  # Without what is in its environments, whose variables have sizes of their own.
  walk_variable <- function(x, name, user) {
    if (!is.function(x)) {
      user <- if (nzchar(user)) user else "the function"
      sizes[[length(sizes) + 1L]] <<- list(name, class(x)[1L], size_of(x), user)
    }
    walk(x, name)
  }

  size_of <- function(x) {
    if (is.object(x) || !is.atomic(x) || is.null(x)) return(as.numeric(utils::object.size(x)))
    each <- c(logical = 4, integer = 4, double = 8, complex = 16, raw = 1, character = 8)[[typeof(x)]]
    length(x) * each + if (is.character(x)) sum(nchar(x, "bytes")) else 0  # object.size() is slow for texts
  }

  walk_code <- function(code) {
    if (!is.call(code)) return()
    called <- if (is.symbol(code[[1L]])) as.character(code[[1L]]) else ""
    if (called %in% c("::", ":::", "library", "require", "requireNamespace", "loadNamespace") && length(code) > 1L &&
        (is.symbol(code[[2L]]) || is.character(code[[2L]]))) used <<- union(used, as.character(code[[2L]]))
    if (called == "UseMethod" && is.character(code[[2L]])) generics <<- union(generics, code[[2L]])
    if (called == "structure") classes <<- union(classes, texts_in(code$class))
    if (called %in% c("<-", "<<-", "=") && is.call(code[[2L]]) && identical(code[[2L]][[1L]], quote(class))) {
      classes <<- union(classes, texts_in(code[[3L]]))
    }
    walk_each(as.list(code))
  }

  texts_in <- function(code) if (is.character(code)) code else if (is.call(code)) unlist(lapply(as.list(code), texts_in))

  walk_each <- function(parts) {
    for (i in seq_along(parts)) if (!identical(parts[[i]], quote(expr = ))) walk_code(parts[[i]])
  }

  # Variables of which only parts are assigned, as in state$n <- 1: codetools takes them for local.
  changed_in_place <- function(f) {
    own <- names(formals(f))
    changed <- character()
    visit <- function(code) {
      if (!is.call(code)) return()
      called <- if (is.symbol(code[[1L]])) as.character(code[[1L]]) else ""
      if (called %in% c("<-", "<<-", "=", "for")) {
        target <- code[[2L]]
        is_part <- is.call(target)
        while (is.call(target) && length(target) > 1L) target <- target[[2L]]
        if (is_part) changed <<- c(changed, as.character(target)) else own <<- c(own, as.character(target))
      }
      for (i in seq_along(code)) if (!identical(code[[i]], quote(expr = ))) visit(code[[i]])
    }
    visit(body(f))
    setdiff(changed, own)
  }

  take_global <- function(name, user) {
    assign(name, get(name, envir = globalenv()), envir = globals)
    walk_variable(globals[[name]], name, user)
  }

  # Whether functions of these names are methods: for a class that travels, or of a generic that does.
  are_methods <- function(names) {
    for_class <- lapply(classes, function(class) {
      generic <- substr(names, 1L, nchar(names) - nchar(class) - 1L)
      are <- endsWith(names, paste0(".", class)) & nzchar(generic)
      # No other name is looked up: it may be a promise, which would be made now.
      are[are] <- vapply(generic[are], is_function, NA, USE.NAMES = FALSE)
      are
    })
    of_generic <- lapply(generics, function(generic) startsWith(names, paste0(generic, ".")))
    Reduce(`|`, c(for_class, of_generic), logical(length(names)))
  }

  is_function <- function(name) exists(name, envir = globalenv(), mode = "function")

  # The methods that only this session has: functions in its global environment, and what it registered.
  take_methods <- function() {
    here <- setdiff(ls(globalenv(), all.names = TRUE), ls(globals, all.names = TRUE))
    for (name in here[are_methods(here)]) if (is.function(get(name, envir = globalenv()))) take_global(name, "its class")
    for (package in c("", loadedNamespaces())) {
      table <- (if (nzchar(package)) asNamespace(package) else globalenv())[[".__S3MethodsTable__."]]
      names <- if (is.environment(table)) ls(table, all.names = TRUE) else character()
      for (name in names[are_methods(names)]) {
        method <- table[[name]]
        key <- paste0(package, ":", name)
        if (!is.function(method) || is.primitive(method) || isNamespace(topenv(environment(method)))) next
        if (!is.null(registered[[key]])) next
        registered[[key]] <<- list(name = name, package = package, method = method)
        walk(method, name)
      }
    }
  }

  walk_function <- function(f, path) {
    if (is.primitive(f)) return()
    e <- environment(f)
    walk_environment(e, path)
    if (isNamespace(topenv(e))) return()
    walk_code(body(f))
    walk_each(formals(f))
    for (name in union(codetools::findGlobals(f), changed_in_place(f))) {
      at <- e
      while (!identical(at, emptyenv()) && !exists(name, envir = at, inherits = FALSE)) at <- parent.env(at)
      if (startsWith(environmentName(at), "package:")) used <<- union(used, sub("^package:", "", environmentName(at)))
      if (!identical(at, globalenv()) || exists(name, envir = globals, inherits = FALSE)) next
      take_global(name, path)
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
    else if (is.list(x)) walk_list(unclass(x), path)
  }

  walk_list <- function(x, path) {
    labels <- names(x)
    for (i in which(!vapply(x, function(value) is.atomic(value) && is.null(attributes(value)), NA, USE.NAMES = FALSE))) {
      label <- if (is.null(labels) || !nzchar(labels[i])) paste0("[[", i, "]]") else paste0("$", labels[i])
      walk(x[[i]], paste0(path, label))
    }
  }

  walk(fn, "")
  repeat {
    known <- length(globals) + length(registered) + length(classes) + length(generics)
    take_methods()
    if (length(globals) + length(registered) + length(classes) + length(generics) == known) break
  }
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
  if (length(refused) == 0L) {
    what <- list(fn = fn, globals = as.list(globals, all.names = TRUE), methods = unname(registered))
    file <- file(path, "wb")  # a vector would grow, and be copied, many times
    tryCatch(serialize(what, file, xdr = FALSE), finally = close(file))
  }
  sizes <- utils::head(sizes[order(-vapply(sizes, `[[`, 0, 3L))], 20L)
  largest <- function(kind, part) vapply(sizes, `[[`, kind, part)
  versions <- vapply(packages[is_here], function(name) as.character(utils::packageVersion(name)), "")
  list(
    refused = refused, missing = packages[!is_here], attached = attached,
    packages = packages[is_here], versions = unname(versions),
    r_version = paste(R.version$major, R.version$minor, sep = "."), library_paths = .libPaths(),
    variables = largest("", 1L), variable_types = largest("", 2L), variable_bytes = largest(0, 3L),
    variable_users = largest("", 4L)
  )
}
