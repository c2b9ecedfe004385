test_that("nothing is left of a cluster that is stopped, and its connection says so", {
  conn <- new_cluster("stopped")
  stop_clipper(conn)
  stop_clipper(conn)
  expect_identical(commands_with(conn$cluster_name), character())
  expect_match(format(conn), "has ended")
  expect_error(get_all_apps(conn), "has ended")
})

test_that("a cluster ends with the R that started it", {
  name <- paste0("test-orphan-", Sys.getpid())
  start <- "clippernb::start_clipper('%s', clipper_query_port = 0, clipper_management_port = 0); cat('up')"
  said <- system2(file.path(R.home("bin"), "Rscript"), c("-e", shQuote(sprintf(start, name))), stdout = TRUE)
  expect_match(paste(said, collapse = ""), "up$")
  expect_true(eventually(function() length(commands_with(name)) == 0L))
})

test_that("a Python without clipper_nb, or none, is told with what to install", {
  before <- options(clippernb.python = Sys.which("false"))
  on.exit(options(before))
  expect_error(start_clipper("never"), "pip install 'clipper-nb\\[notebook,r\\]'")
})

test_that("a cluster that does not run is not joined, and no process is left", {
  expect_error(connect("no-such-cluster"), class = "ClusterNotFoundError")
  expect_identical(commands_with("r_commands no"), character())
})

test_that("Python finds its libraries as before R put its own first", {
  before <- Sys.getenv("LD_LIBRARY_PATH")
  on.exit(Sys.setenv(LD_LIBRARY_PATH = before))
  own <- clippernb:::library_path_before_r()
  expect_false(grepl(R.home("lib"), own, fixed = TRUE))
  Sys.setenv(LD_LIBRARY_PATH = "/opt/mine")
  expect_identical(clippernb:::library_path_before_r(), "/opt/mine")
})

test_that("numbers and texts are written so that nothing is lost", {
  expect_identical(clippernb:::as_json(list(a = 3e6, b = "\"\n", c = NULL, d = I("x"), e = TRUE, f = list(0.1 + 0.2))),
                   '{"a":3000000,"b":"\\"\\n","c":null,"d":["x"],"e":true,"f":[0.30000000000000004]}')
  times <- as.POSIXct("2024-07-01 12:00:00", tz = "Europe/Berlin") + c(0, 0.25, NA)
  expect_identical(clippernb:::json_time(times), c("2024-07-01T10:00:00.000000Z", "2024-07-01T10:00:00.250000Z", NA))
  expect_identical(clippernb:::json_rows(data.frame(x = c(1, NA), f = factor(c("a", NA)))),
                   c('{"x":1,"f":"a"}', '{"x":null,"f":null}'))
})

test_that("an interrupt ends the call that is under way, and only that", {
  program <- tempfile(fileext = ".R")
  on.exit(unlink(program))
  writeLines(c(
    "library(clippernb)",
    "conn <- start_clipper(commandArgs(TRUE), clipper_query_port = 0, clipper_management_port = 0)",
    "slow <- function(x) { Sys.sleep(if (x[[1]] > 0) x[[1]] else 0); 1 }",
    "create_endpoint(conn, 'slow', slow, -1, slo_micros = 100e6)",
    "cat('ready\n')",
    "cat('told:', tryCatch(predict(conn, 'slow', 60), error = conditionMessage), '\n')",
    "cat('then:', get_all_apps(conn), '\n')",
    "stop_clipper(conn)"
  ), program)
  name <- paste0("test-interrupt-", Sys.getpid())
  rscript <- processx::process$new(file.path(R.home("bin"), "Rscript"), c(program, name), stdout = "|", stderr = "|")
  on.exit(rscript$kill(), add = TRUE)
  said <- character()
  hear <- function(wanted) {
    expect_true(eventually(function() {
      said <<- c(said, rscript$read_output_lines())
      any(grepl(wanted, said, fixed = TRUE))
    }, within_s = 40), info = paste(c(said, rscript$read_all_error_lines()), collapse = "\n"))
  }
  hear("ready")
  Sys.sleep(2)  # until the query is under way
  rscript$interrupt()
  hear("told: interrupted")
  hear("then: slow")
  expect_true(eventually(function() !rscript$is_alive()))
  expect_identical(commands_with(name), character())
})

test_that("a cluster that is kept is resumed, and fresh removes it", {
  again <- function(...) new_cluster("kept", detach = TRUE, ...)
  conn <- again()
  on.exit(stop_clipper(conn))
  register_application(conn, "app", "doubles", "-1", slo_micros)
  stop_clipper(conn, keep = TRUE)
  expect_true(eventually(function() length(commands_with(conn$cluster_name)) == 0))
  conn <- again()
  expect_identical(get_all_apps(conn), "app")
  stop_clipper(conn, keep = TRUE)
  conn <- again(fresh = TRUE)
  expect_length(get_all_apps(conn), 0)
  expect_error(stop_clipper(conn, keep = "yes"), "keep", class = "InvalidRequestError")
})
