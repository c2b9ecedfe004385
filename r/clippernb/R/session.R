# The Python process behind a connection: python -m clipper_nb.r_commands, one JSON object per line each way.

start_session <- function() {
  explicit <- c(getOption("clippernb.python"), Sys.getenv("CLIPPERNB_PYTHON"))
  explicit <- explicit[nzchar(explicit)]
  inside <- Filter(nzchar, c(Sys.getenv("VIRTUAL_ENV"), Sys.getenv("CONDA_PREFIX")))
  found <- if (length(explicit)) explicit[1L]
    else unique(c(file.path(inside, "bin", "python"), Sys.which(c("python3", "python"))))
  found <- found[nzchar(found) & (file.exists(found) | nzchar(Sys.which(found)))]
  said <- character()
  for (python in found) {
    session <- try_python(python)
    if (is.environment(session)) return(session)
    said <- c(said, paste0("\n  ", python, ": ", session))
  }
  stop(
    "No Python with clipper_nb was found. Install it, pip install 'clipper-nb[notebook,r]', and name that Python in ",
    "options(clippernb.python = ) or the environment variable CLIPPERNB_PYTHON. Tried:",
    if (length(said)) said else " nothing, there is no python3 on the PATH", call. = FALSE
  )
}

# A session, or the last line that Python said instead.
try_python <- function(python) {
  log <- tempfile("clippernb-", fileext = ".log")
  process <- processx::process$new(
    python, c("-m", "clipper_nb.r_commands"), stdin = "|", stdout = "|", stderr = log, encoding = "UTF-8",
    env = c("current", LD_LIBRARY_PATH = library_path_before_r(), PYTHONUTF8 = "1"), cleanup = TRUE
  )
  session <- new.env(parent = emptyenv())
  session$process <- process
  session$log <- log
  session$count <- 0
  hello <- tryCatch(read_message(session), clipper_session_ended = function(e) NULL)
  if (is.null(hello)) {
    said <- readLines(log, warn = FALSE)
    return(if (length(said)) said[length(said)] else "it ended without a word")
  }
  session$version <- hello$version
  session$capture <- eval_source(hello$capture)
  session$columns <- eval_source(hello$columns)
  session$plain <- eval_source(hello$plain)
  # When R ends, or forgets the session, the process's input ends, and the process with it.
  reg.finalizer(session, end_session, onexit = TRUE)
  session
}

eval_source <- function(text) eval(parse(text = text, keep.source = FALSE), new.env(parent = baseenv()))

end_session <- function(session) {
  process <- session$process
  if (process$is_alive()) {
    close(process$get_input_connection())
    process$wait(10000)
    if (process$is_alive()) process$kill()
  }
  unlink(session$log)
}

# R has put its own folders first, once more for each R that started this one; another libpython may lie in them.
library_path_before_r <- function() {
  now <- Sys.getenv("LD_LIBRARY_PATH")
  settings <- file.path(R.home("etc"), "ldpaths")
  if (!nzchar(now) || !file.exists(settings)) return(now)
  own <- system2(
    "sh", c("-c", shQuote(paste("LD_LIBRARY_PATH=; .", shQuote(settings), "; printf %s \"$R_LD_LIBRARY_PATH\""))),
    stdout = TRUE, stderr = FALSE
  )
  while (length(own) == 1L && nzchar(own) && startsWith(now, own)) now <- sub("^:", "", substring(now, nchar(own) + 1L))
  now
}

# What `call` returns in Python; an error there is one here, of the same classes.
request <- function(conn, call, ..., arguments = list(...)) {
  session <- conn$session
  if (is.null(session) || !session$process$is_alive()) {
    stop("This connection has ended; start_clipper() or connect() makes another.", call. = FALSE)
  }
  session$count <- session$count + 1
  id <- session$count
  write_line(session, as_json(list(id = id, call = call, arguments = keep_names(arguments))))
  # An interrupt is Python's too, which undoes what it was doing; what it says then is this call's answer.
  answer <- tryCatch(read_answer(session, id), interrupt = function(e) {
    session$process$interrupt()
    read_answer(session, id)
  })
  if (!is.null(answer$error)) {
    if ("KeyboardInterrupt" %in% answer$classes) stop("interrupted", call. = FALSE)
    classes <- c(unlist(answer$classes), "clipper_error", "error", "condition")
    stop(structure(class = classes, list(message = answer$error, call = NULL)))
  }
  answer$result
}

keep_names <- function(arguments) if (length(arguments)) arguments else structure(list(), names = character())

write_line <- function(session, line) {
  left <- session$process$write_input(paste0(line, "\n"))
  while (length(left)) {
    Sys.sleep(0.005)
    left <- session$process$write_input(left)
  }
}

# Answers to calls that were interrupted before are passed over.
read_answer <- function(session, id) {
  repeat {
    message <- read_message(session)
    if (!is.null(message$log)) {
      if (is_verbose()) message(message$log)
    } else if (identical(as.numeric(message$id), as.numeric(id))) {
      return(message)
    }
  }
}

is_verbose <- function() {
  isTRUE(getOption("clippernb.verbose", interactive() || isTRUE(getOption("jupyter.in_kernel"))))
}

read_message <- function(session) {
  process <- session$process
  repeat {
    line <- process$read_output_lines(1L)
    if (length(line)) return(jsonlite::parse_json(line))
    if (!process$is_incomplete_output()) {
      process$wait(1000)
      said <- if (file.exists(session$log)) utils::tail(readLines(session$log, warn = FALSE), 20L)
      stop(structure(
        class = c("clipper_session_ended", "clipper_error", "error", "condition"),
        list(message = paste(c("The Python process of this connection has ended.", said), collapse = "\n"), call = NULL)
      ))
    }
    process$poll_io(200L)
  }
}
