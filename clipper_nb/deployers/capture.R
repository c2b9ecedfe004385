# capture(fn, extra, path): everything that `fn` needs in another R: the globals it uses, directly or through its helpers,
# and the session's classes and methods of what travels, which are written to the file; packages, and environment
# variables that it reads. Found by reading the code, so a name built at run time, as in get(paste0("a", i)), is not found.
function(fn, extra, path) {
  globals <- new.env()
  attached <- rev(sub("^package:", "", grep("^package:", search(), value = TRUE)))  # the order decides what masks what
  used <- extra
  classes <- character()
  generics <- character()
  registered <- list()
  variables_read <- character()
  counting <- c("count_metric", "set_metric", "observe_metric")
  # Classes of S4 and reference classes are hidden variables of the session, and so are tables of their methods.
  definitions <- ls(globalenv(), all.names = TRUE, pattern = "^[.]__[CT]__")
  session_classes <- sub("^[.]__C__", "", grep("^[.]__C__", definitions, value = TRUE))
  sizes <- list()
  refused <- character()
  seen <- list()

  walk_environment <- function(e, path) {
    if (isNamespace(e)) used <<- union(used, getNamespaceName(e))
    is_shared <- isNamespace(e) || identical(e, globalenv()) || identical(e, baseenv()) || identical(e, emptyenv())
    if (is_shared || startsWith(environmentName(e), "package:") || any(vapply(seen, identical, NA, e))) return()
    seen[[length(seen) + 1L]] <<- e
    active <- Filter(function(name) bindingIsActive(name, e), ls(e, all.names = TRUE))
    for (name in active) walk(activeBindingFunction(name, e), paste0(path, "$", name))  # to read it may do anything
    variables <- if (length(active)) passive_variables(e, active) else as.list.environment(e, all.names = TRUE)
    for (name in names(variables)) {
      if (identical(variables[[name]], quote(expr = ))) next  # a missing argument
      at <- if (nzchar(path)) paste0(path, "$", name) else name
      walk_variable(variables[[name]], at, path)
    }
    if (inherits(e, "R6ClassGenerator")) walk_names(all.names(e$inherit), e$parent_env, path)
    walk_environment(parent.env(e), path)
  }

  passive_variables <- function(e, active) {
    names <- setdiff(ls(e, all.names = TRUE), active)
    structure(lapply(names, function(name) e[[name]]), names = names)
  }

  # Without what is in its environments, whose variables have sizes of their own.
  walk_variable <- function(x, name, user) {
    is_internal <- grepl("$.", name, fixed = TRUE)  # of an object of a class, such as its methods and their tables
    if (!is.function(x) && (!is_internal || size_of(x) > 1e4)) {
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

  walk_code <- function(code, e) {
    if (is.character(code)) classes <<- union(classes, intersect(code, session_classes))
    if (!is.call(code)) return()
    called <- name_of(code[[1L]])
    variables_read <<- c(variables_read, environment_names(code, called, e))
    if (called %in% c("::", ":::", "library", "require", "requireNamespace", "loadNamespace") && length(code) > 1L &&
        (is.symbol(code[[2L]]) || is.character(code[[2L]]))) used <<- union(used, as.character(code[[2L]]))
    if (called == "UseMethod" && is.character(code[[2L]])) generics <<- union(generics, code[[2L]])
    if (called == "structure") classes <<- union(classes, texts_in(code$class))
    if (called %in% c("<-", "<<-", "=") && is.call(code[[2L]]) && identical(code[[2L]][[1L]], quote(class))) {
      classes <<- union(classes, texts_in(code[[3L]]))
    }
    walk_each(as.list(code), e)
  }

  name_of <- function(code) {
    if (is.call(code) && length(code) == 3L && identical(code[[1L]], quote(`::`))) code <- code[[3L]]
    if (is.symbol(code)) as.character(code) else ""
  }

  # In Sys.getenv("A"), Sys.getenv(names), Sys.getenv()[["A"]] and sapply(names, Sys.getenv).
  environment_names <- function(code, called, e) {
    arguments <- as.list(code)[-1L]
    if (called == "Sys.getenv") arguments <- first_argument(arguments)
    else if (!any(vapply(arguments, is_reader, NA))) return()
    unlist(lapply(arguments, known_texts, e))
  }

  first_argument <- function(arguments) {
    labels <- if (is.null(names(arguments))) character(length(arguments)) else names(arguments)
    utils::head(c(arguments[labels == "x"], arguments[labels == ""]), 1L)
  }

  is_reader <- function(code) {
    name_of(code) == "Sys.getenv" || (is.call(code) && length(code) == 1L && name_of(code[[1L]]) == "Sys.getenv")
  }

  known_texts <- function(code, e) {
    if (is.symbol(code) && nzchar(code)) code <- get0(as.character(code), envir = e, mode = "character")
    if (is.character(code)) as.vector(code) else if (is.call(code)) unlist(lapply(as.list(code)[-1L], known_texts, e))
  }

  texts_in <- function(code) if (is.character(code)) code else if (is.call(code)) unlist(lapply(as.list(code), texts_in))

  walk_each <- function(parts, e) {
    for (i in seq_along(parts)) if (!identical(parts[[i]], quote(expr = ))) walk_code(parts[[i]], e)
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

  # They travel as if the session had defined them: a replica has no package clippernb.
  take_counting <- function(name, at) {
    found <- get(name, envir = at)
    environment(found) <- globalenv()
    assign(name, found, envir = globals)
  }

  take_global <- function(name, user) {
    assign(name, get(name, envir = globalenv()), envir = globals)
    if (methods::is(globals[[name]], "genericFunction")) generics <<- union(generics, name)
    walk_variable(globals[[name]], name, user)
  }

  # The session's definitions of S4: classes by their names, tables of methods by their generic and by the classes in them.
  take_definitions <- function() {
    here <- setdiff(definitions, ls(globals, all.names = TRUE))
    for (name in here[vapply(here, is_needed, NA)]) {
      found <- get(name, envir = globalenv())
      # Around a table is its generic, with methods of packages too.
      if (is.environment(found)) found <- list2env(as.list.environment(found, all.names = TRUE), parent = emptyenv())
      assign(name, found, envir = globals)
      walk(found, sub("^[.]__[CT]__", "", name))
    }
  }

  is_needed <- function(name) {
    if (startsWith(name, ".__C__")) return(substring(name, 7L) %in% classes)
    generic <- sub("^[.]__T__(.*):[^:]*$", "\\1", name)
    signatures <- unlist(strsplit(ls(get(name, envir = globalenv()), all.names = TRUE), "#", fixed = TRUE))
    generic %in% generics || any(signatures %in% intersect(classes, session_classes))
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
    walk_code(body(f), e)
    walk_each(formals(f), e)
    walk_names(union(codetools::findGlobals(f), changed_in_place(f)), e, path)
  }

  walk_names <- function(names, e, path) {
    for (name in names) {
      at <- e
      while (!identical(at, emptyenv()) && !exists(name, envir = at, inherits = FALSE)) at <- parent.env(at)
      if (environmentName(at) == "package:clippernb" && name %in% counting) {
        take_counting(name, at)
        next
      }
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
    if (isS4(x) && methods::is(x, "classRepresentation")) return(walk_class(x, path))
    # data.table recreates this pointer when it is missing; the others hold the source text of functions
    others <- attributes(x)[setdiff(names(attributes(x)), c("names", "class", ".internal.selfref", "srcref", "srcfile"))]
    for (value in others) walk(value, path)
    if (is.environment(x)) walk_environment(x, path)
    else if (is.function(x)) walk_function(x, path)
    else if (is.list(x)) walk_list(unclass(x), path)
  }

  # Some of a definition are pointers, which R makes anew.
  walk_class <- function(definition, path) {
    related <- c(definition@contains, definition@subclasses)
    classes <<- union(classes, intersect(c(definition@className, names(related), unlist(definition@slots)), session_classes))
    packages <- lapply(c(definition@slots, lapply(definition@contains, function(x) x@superClass)), attr, "package")
    used <<- union(used, intersect(unlist(packages), loadedNamespaces()))
    functions <- unlist(lapply(related, function(x) list(x@coerce, x@test, x@replace)))
    for (f in c(functions, definition@validity)) if (!isNamespace(topenv(environment(f)))) walk(f, path)
    walk(definition@prototype, path)
    if (methods::is(definition, "refClassRepresentation")) {
      walk_environment(definition@refMethods, path)
      walk_environment(definition@fieldPrototypes, path)
    }
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
    take_definitions()
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
    # Functions of an interactive session know the text of the whole cell or file that they stand in.
    without_text <- function(x) if (inherits(x, "srcfile")) "srcfile"
    tryCatch(serialize(what, file, xdr = FALSE, refhook = without_text), finally = close(file))
  }
  sizes <- utils::head(sizes[order(-vapply(sizes, `[[`, 0, 3L))], 20L)
  largest <- function(kind, part) vapply(sizes, `[[`, kind, part)
  variables_read <- sort(unique(variables_read[nzchar(variables_read)]))
  values <- vapply(variables_read, Sys.getenv, "", unset = NA, USE.NAMES = FALSE)  # of no names it returns all
  versions <- vapply(packages[is_here], function(name) as.character(utils::packageVersion(name)), "")
  list(
    refused = refused, missing = packages[!is_here], attached = attached,
    packages = packages[is_here], versions = unname(versions),
    r_version = paste(R.version$major, R.version$minor, sep = "."), library_paths = .libPaths(),
    variables = largest("", 1L), variable_types = largest("", 2L), variable_bytes = largest(0, 3L),
    variable_users = largest("", 4L),
    environment_names = variables_read[!is.na(values)], environment_values = values[!is.na(values)]
  )
}
