build_and_deploy_model <- function(conn, name, version, fn, sample_input, base_image = "default", labels = NULL,
                                   registry = NULL, num_replicas = NULL, batch_size = -1, pkgs_to_install = NULL,
                                   timeout_s = 60, limits = NULL, system_packages = NULL, compare_sample = TRUE,
                                   isolate_errors = TRUE, hang_timeout_s = 30, text_outputs = "json",
                                   environment_variables = NULL, files = NULL, allow_large = FALSE, setup = NULL) {
  deploy(
    conn, "deploy", list(name = name, version = version_or_null(version)), fn, sample_input, base_image, labels, registry,
    num_replicas, batch_size, pkgs_to_install, timeout_s, limits, system_packages, compare_sample,
    isolate_errors, hang_timeout_s, text_outputs, environment_variables, files, allow_large, setup
  )
}

create_endpoint <- function(conn, name, fn, sample_input, default_output = "None", version = NULL, slo_micros = 3000000,
                            base_image = "default", labels = NULL, registry = NULL, num_replicas = NULL, batch_size = -1,
                            pkgs_to_install = NULL, timeout_s = 60, limits = NULL, system_packages = NULL,
                            compare_sample = TRUE, isolate_errors = TRUE, hang_timeout_s = 30,
                            text_outputs = "json", environment_variables = NULL, files = NULL, allow_large = FALSE,
                            setup = NULL) {
  what <- list(
    name = name, version = version_or_null(version), default_output = default_output, slo_micros = whole(slo_micros)
  )
  deploy(
    conn, "create_endpoint", what, fn, sample_input, base_image, labels, registry, num_replicas, batch_size,
    pkgs_to_install, timeout_s, limits, system_packages, compare_sample,
    isolate_errors, hang_timeout_s, text_outputs, environment_variables, files, allow_large, setup
  )
}

deploy <- function(conn, call, what, fn, sample_input, base_image, labels, registry, num_replicas, batch_size,
                   pkgs_to_install, timeout_s, limits, system_packages, compare_sample, isolate_errors,
                   hang_timeout_s, text_outputs, environment_variables, files, allow_large, setup) {
  if (!is.function(fn) || is.primitive(fn)) stop("fn must be an R function, not ", class(fn)[1L], call. = FALSE)
  check_setup(setup)
  input_type <- input_type_of(sample_input)
  inputs <- if (is.data.frame(sample_input)) utils::head(sample_input, 10L) else list(sample_input)
  answers <- answer_sample(fn, inputs, conn$session$plain)
  path <- tempfile("clippernb-", fileext = ".rds")
  setup_path <- tempfile("clippernb-", fileext = ".rds")
  on.exit(unlink(c(path, setup_path)))
  captured <- as_arrays(conn$session$capture(fn, as.character(pkgs_to_install), path))
  columns <- if (is.data.frame(sample_input)) as_arrays(conn$session$columns(sample_input))
  arguments <- c(what, list(
    input_type = input_type, captured = captured, captured_path = path, allow_large = allow_large,
    captured_setup = if (!is.null(setup)) as_arrays(conn$session$capture(setup, character(), setup_path)),
    captured_setup_path = setup_path,
    columns = columns, base_image = base_image, labels = if (!is.null(labels)) I(labels), registry = registry,
    num_replicas = whole_or_null(num_replicas), batch_size = whole(batch_size), timeout_s = timeout_s,
    limits = limits, isolate_errors = isolate_errors, hang_timeout_s = hang_timeout_s, text_outputs = text_outputs,
    system_packages = if (!is.null(system_packages)) I(system_packages),
    environment_variables = variables_with_values(environment_variables),
    files = if (!is.null(files)) I(files), working_directory = getwd(),
    sample = if (compare_sample && length(answers)) list(
      inputs = json(json_array(json_inputs(inputs))), answers = json(json_array(answers))
    )
  ))
  invisible(request(conn, call, arguments = arguments))
}

check_setup <- function(setup) {
  if (is.null(setup)) return()
  if (!is.function(setup) || is.primitive(setup)) stop("setup must be an R function, not ", class(setup)[1L], call. = FALSE)
  defaults <- formals(setup)[names(formals(setup)) != "..."]
  required <- names(Filter(function(default) identical(default, quote(expr = )), defaults))
  if (length(required)) stop("setup is called without arguments; it takes ", toString(required), call. = FALSE)
}

# c(NAME = "value") or "NAME", and TZ; R's environment now, which the connection's process has not seen.
variables_with_values <- function(chosen) {
  chosen <- as.list(chosen)
  names(chosen) <- if (is.null(names(chosen))) rep("", length(chosen)) else names(chosen)
  for (i in which(names(chosen) == "")) {
    name <- as.character(chosen[[i]])
    value <- Sys.getenv(name, NA)
    if (is.na(value)) stop("the environment has no variable ", name, call. = FALSE)
    names(chosen)[i] <- name
    chosen[[i]] <- value
  }
  if (is.null(chosen[["TZ"]]) && nzchar(Sys.getenv("TZ"))) chosen[["TZ"]] <- Sys.getenv("TZ")
  if (length(chosen)) chosen
}

as_arrays <- function(parts) lapply(parts, function(part) I(if (is.list(part)) lapply(part, I) else unname(part)))

input_type_of <- function(sample_input) {
  if (is.data.frame(sample_input)) "strings"
  else if (is.raw(sample_input)) "bytes"
  else if (!is.null(dim(sample_input)) || is.object(sample_input)) {
    stop("sample_input is a ", class(sample_input)[1L], "; rows of a table come as a data frame", call. = FALSE)
  }
  else if (is.integer(sample_input)) "ints"
  else if (is.double(sample_input)) "doubles"
  else if (is.character(sample_input) && length(sample_input) == 1L) "strings"
  else if (is.list(sample_input)) "json"
  else stop("sample_input must be a raw, integer or double vector, one text, a list, or a data frame, not ",
            class(sample_input)[1L], call. = FALSE)
}

# The outputs for all inputs together, and for each alone; once more where they differ, which is then chance or not.
# A function that fails on the sample fails here, where it can be mended.
answer_sample <- function(fn, inputs, plain) {
  expected <- if (is.data.frame(inputs)) nrow(inputs) else length(inputs)
  if (expected == 0L) return(NULL)
  ask_all <- function() {
    alone <- lapply(seq_len(expected), function(i) {
      answer(fn, if (is.data.frame(inputs)) inputs[i, , drop = FALSE] else inputs[i], 1L, plain)
    })
    list(together = answer(fn, inputs, expected, plain), alone = unlist(alone))
  }
  arrays <- function(asked) c(json_array(asked$together), vapply(asked$alone, json_array, "", USE.NAMES = FALSE))
  first <- ask_all()
  c(arrays(first), if (!identical(first$together, first$alone)) arrays(ask_all()))
}

answer <- function(fn, inputs, expected, plain) {
  if (is.data.frame(inputs)) rownames(inputs) <- NULL  # as in a replica, to which rows come without names
  outputs <- json_outputs(plain(fn(inputs), inputs))
  if (length(outputs) != expected) {
    stop("fn returned ", length(outputs), " outputs for ", expected, " inputs of the sample; it must return one for each",
         call. = FALSE)
  }
  outputs
}
