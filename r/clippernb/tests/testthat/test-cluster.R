conn <- new_cluster("all")
on.exit(stop_clipper(conn))

test_that("a model with factors, dates and NA answers data frames as in the session", {
  globally({
    cars <- transform(mtcars, gear = factor(gear, labels = c("three", "four", "five")),
                      day = as.Date("2024-02-27") + seq_len(32) - 1L)
    cars$qsec[2] <- NA
    fit <- lm(mpg ~ wt * gear + qsec + as.numeric(day), cars)
  })
  fuel <- globally(function(rows) unname(predict(fit, rows)))
  create_endpoint(conn, "fuel", fuel, cars, slo_micros = slo_micros)
  expect_identical(predict(conn, "fuel", cars), fuel(cars))
  expect_true(is.na(predict(conn, "fuel", cars)[2]))
  expect_identical(predict(conn, "fuel", cars[5, ]), fuel(cars)[5])
})

test_that("helpers and a package travel; doubles stay the same to the last bit", {
  globally(half <- function(x) if (x > 2) half(x / 2) else x)
  entropy <- globally(function(inputs) lapply(inputs, function(x) stats::sd(x) + half(sum(x))))
  values <- list(c(0.1 + 0.2, 1 / 3), c(1e-300, 5e-324), c(1, 1e10))
  create_endpoint(conn, "entropy", entropy, c(1, 2), slo_micros = slo_micros)
  expect_identical(predict(conn, "entropy", values), unlist(entropy(values)))
})

test_that("what a function counts is on /metrics", {
  counted <- globally(function(inputs) {
    count_metric("seen", length(inputs), c(kind = "number"))
    lapply(inputs, function(x) x + 1)
  })
  create_endpoint(conn, "counted", counted, 1, slo_micros = slo_micros)
  expect_identical(predict(conn, "counted", 41), 42)
  shown <- 'clipper_user_seen_total{model="counted",version="1",replica="0",kind="number"} 1.0'
  is_shown <- function() {
    metrics <- url(paste0(get_query_url(conn), "/metrics"), headers = c(Authorization = paste("Bearer", get_query_token(conn))))
    on.exit(close(metrics))
    shown %in% readLines(metrics)
  }
  expect_true(eventually(is_shown))
})

test_that("a call without a version can be repeated", {
  once <- globally(function(inputs) lapply(inputs, function(x) x + 1))
  twice <- globally(function(inputs) lapply(inputs, function(x) x + 2))
  expect_identical(create_endpoint(conn, "repeated", once, 1, slo_micros = slo_micros), "1")
  expect_identical(create_endpoint(conn, "repeated", twice, 1, slo_micros = slo_micros), "2")
  expect_identical(predict(conn, "repeated", 1), 3)
  expect_identical(build_and_deploy_model(conn, "repeated", NULL, once, 1), "3")
  expect_identical(predict(conn, "repeated", 1), 2)
  expect_error(build_and_deploy_model(conn, "repeated", 3, once, 1), "Version '4' is free", class = "ExistsError")
  expect_error(create_endpoint(conn, "repeated", once, 1, slo_micros = 5), "not 5", class = "ExistsError")
})

test_that("every type of input and of output", {
  samples <- list(integers = 1:3, doubles = c(0.5, -1), strings = "naïve \"text\"", bytes = as.raw(c(0, 255)))
  describe <- globally(function(inputs) lapply(inputs, function(x) list(type = typeof(x), n = length(x))))
  for (kind in names(samples)) {
    create_endpoint(conn, kind, describe, samples[[kind]], slo_micros = slo_micros)
    expect_identical(get_app_info(conn, kind)$input_type, kind)
    expect_equal(predict(conn, kind, samples[[kind]]), describe(samples[kind])[[1]])
  }
  expect_error(predict(conn, "doubles", NA), "a vector of numbers")
  expect_error(predict(conn, "integers", c(1L, NA)), "whole numbers have no missing value")
  odd <- globally(function(inputs) lapply(inputs, function(x) list(missing = sum(is.na(x)), infinite = sum(is.infinite(x)))))
  create_endpoint(conn, "odd", odd, c(1, NA, Inf), slo_micros = slo_micros)
  expect_equal(predict(conn, "odd", c(NA, NaN, Inf, -Inf, 1)), list(missing = 2, infinite = 2))
  echo <- globally(function(rows) rows)
  sample <- data.frame(x = c(1.5, NA, 1e-300), s = c("a", NA, ""), l = c(TRUE, NA, FALSE))
  create_endpoint(conn, "echo", echo, sample, slo_micros = slo_micros)
  expect_equal(predict(conn, "echo", sample), sample)
})

test_that("lists are inputs of type json, and rows of a data frame objects", {
  describe <- globally(function(inputs) lapply(inputs, function(x) list(
    names = I(names(x)), age = x$age, tags = if (is.null(x$tags)) "none" else I(x$tags), town = x$home$town, has_note = !is.null(x$note)
  )))
  one <- list(age = 22.5, tags = I("a"), home = list(town = "Z\u00fcrich"), note = NULL)
  create_endpoint(conn, "records", describe, one, slo_micros = slo_micros)
  expect_identical(get_app_info(conn, "records")$input_type, "json")
  expected <- list(names = c("age", "tags", "home", "note"), age = 22.5, tags = "a", town = "Z\u00fcrich", has_note = FALSE)
  answered <- predictions(conn, "records", list(one, list(age = 1L, tags = c("b", NA), more = data.frame(x = 1:2))))
  expect_equal(answered$output[[1]][names(expected)], expected)
  expect_equal(answered$output[[2]]$tags, c("b", NA))
  rows <- predictions(conn, "records", data.frame(age = c(3, 4), note = c("n", NA)))
  expect_equal(lapply(rows$output, function(output) c(output$age, output$has_note)), list(c(3, 1), c(4, 0)))
  expect_error(predict(conn, "records", list(list(f = mean))), "no form in JSON|not ")
})

test_that("replicas answer the sample as the session does, whatever its outputs are", {
  globally(answers <- list(
    vector = function(rows) c(a = NA, b = NaN, c = Inf)[rows$i], factor = function(rows) factor(rows$s),
    frame = function(rows) {
      frame <- data.frame(
        rows, days = as.Date("2024-02-29") + rows$i, spans = as.difftime(rows$x, units = "mins"), factor = factor(rows$s),
        times = as.POSIXct("2024-03-01", tz = "Asia/Tokyo"), whole = c(1L, NA, 3L)[rows$i], pair = I(cbind(rows$i, 4L))
      )
      frame$long <- structure(c(5e-324, 1, NA)[rows$i], class = "integer64")
      frame
    },
    matrix = function(rows) cbind(rows$x, pi), column = function(rows) cbind(rows$x),
    cube = function(rows) array(1:12, c(3, 2, 2))[rows$i, , , drop = FALSE],
    list = function(rows) list(
      NULL, list(a = 1, b = c(x = 1, y = 2), c = list(1, "z"), d = list(), t = table(c("u", "v", "u"))),
      list(matrix(1:4, 2), factor("f"), data.frame(n = 1:2, s = c("a", NA)), as.Date("2024-02-29"), numeric())
    )[rows$i]
  ))
  sample <- data.frame(x = c(0.1, 1e10, -3), s = c("\"q\"", "na\u00efve", "[1]"), l = c(TRUE, NA, FALSE), i = 1:3)
  for (kind in names(answers)) {
    build_and_deploy_model(conn, "kinds", kind, answers[[kind]], sample)
    expect_identical(get_current_model_version(conn, "kinds"), kind)
  }
  changing <- globally(function(inputs) lapply(inputs, function(x) Sys.getpid()))
  expect_error(build_and_deploy_model(conn, "kinds", "changing", changing, 1), "compare_sample", class = "ParityError")
  expect_identical(get_current_model_version(conn, "kinds"), "list")
  build_and_deploy_model(conn, "kinds", "changing", changing, 1, compare_sample = FALSE)
  expect_identical(get_current_model_version(conn, "kinds"), "changing")
  expect_error(build_and_deploy_model(conn, "kinds", "complex", function(x) 1i, 1), "Re\\(z\\)")
  large <- globally(local({ big <- numeric(13e6); function(inputs) lapply(inputs, function(x) length(big)) }))
  expect_error(build_and_deploy_model(conn, "kinds", "large", large, 1), "'big' \\(104.0 MB\\). Pass allow_large")
  stop_models(conn, "kinds")
})

test_that("outputs keep NaN and text, and depend on no neighbours", {
  create_endpoint(conn, "infinite", globally(function(x) lapply(x, function(one) c(1, NaN, -Inf))), 1,
                  slo_micros = slo_micros)
  expect_identical(predict(conn, "infinite", 1), c(1, NaN, -Inf))
  create_endpoint(conn, "code", globally(function(x) rep("1E5", length(x))), "a", slo_micros = slo_micros,
                  text_outputs = "text")
  expect_identical(predict(conn, "code", "a"), "1E5")
  rows <- data.frame(x = c(3, 1, 2))
  expect_error(build_and_deploy_model(conn, "rank", 1, globally(function(d) rank(d$x)), rows),
               "depends on its neighbours", class = "ParityError")
  expect_error(build_and_deploy_model(conn, "noise", 1, globally(function(d) stats::runif(nrow(d))), rows),
               "depends on chance", class = "ParityError")
  stop_models(conn, c("infinite", "code"))
})

test_that("versions are switched and rolled back", {
  register_application(conn, "app", "doubles", default_output = "-1", slo_micros = slo_micros)
  build_and_deploy_model(conn, "model", 1, globally(function(inputs) sapply(inputs, sum)), c(1, 2), num_replicas = 2)
  link_model_to_app(conn, "app", "model")
  expect_identical(get_linked_models(conn, "app"), "model")
  expect_equal(predict(conn, "app", c(3, 4)), 7)
  build_and_deploy_model(conn, "model", "2-max", globally(function(inputs) sapply(inputs, max)), c(1, 2),
                         system_packages = "libgomp1")
  expect_equal(predict(conn, "app", c(3, 4)), 4)
  expect_equal(predict(conn, "app", c(3, 4), version = 1), 7)
  set_model_version(conn, "model", 1)
  expect_equal(predict(conn, "app", c(3, 4)), 7)
  expect_identical(get_current_model_version(conn, "model"), "1")
  expect_setequal(get_all_models(conn)[startsWith(get_all_models(conn), "model:")], c("model:1", "model:2-max"))
  set_num_replicas(conn, "model", min = 1, max = 2, target = 0.5)
  expect_equal(get_model_info(conn, "model", 1)$autoscaling$max_replicas, 2)
  expect_error(set_num_replicas(conn, "model", min = 2, max = 1), "Swap them")
  set_num_replicas(conn, "model", 1)
  expect_equal(get_num_replicas(conn, "model"), 1)
  stop_inactive_model_versions(conn, "model")
  unlink_model_from_app(conn, "app", "model")
  expect_warning(expect_equal(predict(conn, "app", c(3, 4)), -1), "default output (not_linked)", fixed = TRUE)
  unregister_application(conn, "app")
  expect_false("app" %in% get_all_apps(conn))
})

test_that("queries are divided, shadowed, rolled out and fed back", {
  total <- globally(function(inputs) sapply(inputs, sum))
  create_endpoint(conn, "divided", total, c(1, 2), slo_micros = slo_micros)
  expect_equal(set_traffic(conn, "divided", c("divided:1" = 1))$share, 1)
  build_and_deploy_model(conn, "divided", 2, total, c(1, 2))
  set_traffic(conn, "divided", c("divided:1" = 3, "divided:2" = 1))
  told <- get_traffic(conn, "divided")
  expect_equal(told[c("target", "share", "num_replicas", "score")], data.frame(
    target = c("divided:1", "divided:2"), share = c(0.75, 0.25), num_replicas = 1, score = NA_real_
  ))
  asked <- predictions(conn, "divided", c(1, 2))
  expect_true(feedback(conn, "divided", asked$query_id, score = 1)$counted)
  expect_true(eventually(function() {
    now <- get_traffic(conn, "divided")
    identical(now$score[now$target == asked$model], 1)
  }))
  expect_error(feedback(conn, "divided", 1e12, score = 1), class = "NotFoundError")
  expect_error(set_traffic(conn, "divided", c(1, 2)), "targets as names")
  expect_error(set_traffic(conn, "divided", c("divided:9" = 1)), class = "NotFoundError")
  set_traffic(conn, "divided", c("divided:1", "divided:2"), policy = "thompson")
  set_traffic(conn, "divided", c("divided:1" = 1))
  shadow(conn, "divided", "divided:2")
  predictions(conn, "divided", list(1, 2, 3))
  expect_true(eventually(function() shadow_report(conn, "divided")$num_compared == 3))
  expect_equal(shadow_report(conn, "divided")[c("model", "agreement")], list(model = "divided:2", agreement = 1))
  shadow(conn, "divided", NULL)
  roll_out(conn, "divided", "divided:2", steps = c(10, 100), step_s = 600)
  expect_equal(roll_outs(conn)[c("model", "status", "share")],
               data.frame(model = "divided:2", status = "running", share = 0.1))
  expect_error(set_traffic(conn, "divided", c("divided:2" = 1)), class = "ExistsError")
  abort_roll_out(conn, "divided")
  expect_equal(roll_outs(conn)$status, "aborted")
  expect_equal(get_traffic(conn, "divided")$target, "divided:1")
})

test_that("errors of the function and of the caller are told", {
  expect_error(build_and_deploy_model(conn, "bad", 1, function(x) stop("not today"), 1), "not today")
  expect_error(build_and_deploy_model(conn, "bad", 1, function(x) 1:3, 1), "3 outputs for 1 inputs")
  expect_error(build_and_deploy_model(conn, "bad", 1.5, function(x) 1, 1), "whole number")
  expect_error(build_and_deploy_model(conn, "bad", 1, function(x) 1, matrix(1)), "data frame")
  expect_error(build_and_deploy_model(conn, "bad", 1, globally(function(x) 1), 1, system_packages = "a; b"),
               "names of Debian")
  expect_error(build_and_deploy_model(conn, "Bad Name", 1, function(x) 1, 1), class = "InvalidNameError")
  assign("log_file", stdout(), globalenv())
  chatty <- globally(function(inputs) { cat("", file = log_file); inputs })
  expect_error(build_and_deploy_model(conn, "bad", 1, chatty, 1), "'log_file' (a connection)", fixed = TRUE,
               class = "SerializationError")
  create_endpoint(conn, "picky", globally(function(rows) if (rows$n[1] > 0) rows$n else stop("too small")),
                  data.frame(n = 1L), slo_micros = slo_micros)
  expect_warning(predict(conn, "picky", data.frame(n = -1L)), "too small")
  told <- predictions(conn, "picky", data.frame(n = "one"))
  expect_identical(told$reason, "model_error")
  expect_match(told$explanation, "column 'n' must be a whole number of 32 bits or null, not \"one\"", fixed = TRUE)
  expect_error(predict(conn, "nothing", 1), class = "ApplicationNotFoundError")
})

test_that("another connection joins the cluster", {
  other <- connect(conn$cluster_name)
  expect_identical(get_query_addr(other), get_query_addr(conn))
  expect_identical(get_query_url(other), paste0("http://", get_query_addr(conn)))
  expect_null(get_tls_authority(conn))
  expect_match(get_query_token(conn), "^[A-Za-z0-9_-]{43}$")
  expect_identical(get_query_token(other), get_query_token(conn))
  expect_match(format(other), "applications")
  create_endpoint(other, "joined", globally(function(inputs) lapply(inputs, rev)), c(1, 2), slo_micros = slo_micros)
  expect_equal(predict(conn, "joined", c(1, 2, 3)), c(3, 2, 1))
})

test_that("a cluster can speak HTTPS, and files that are missing are named", {
  expect_error(start_clipper("r-tls-files", clipper_query_port = 0, tls = c(certificate = "/no/c.pem", key = "/no/k.pem")),
               "cannot be read from /no/c.pem", class = "InvalidRequestError")
  encrypted <- start_clipper(paste0(conn$cluster_name, "-tls"), clipper_query_port = 0, clipper_management_port = 0,
                             clipper_rpc_port = 0, query_token = FALSE, tls = TRUE)
  on.exit(stop_clipper(encrypted))
  expect_identical(get_query_url(encrypted), paste0("https://", get_query_addr(encrypted)))
  expect_match(get_tls_authority(encrypted), "^-----BEGIN CERTIFICATE-----")
})

test_that("many rows at once, and a text longer than a pipe holds", {
  create_endpoint(conn, "long", globally(function(inputs) lapply(inputs, nchar)), "a", slo_micros = slo_micros)
  expect_equal(predict(conn, "long", strrep("ab", 500000)), 1e6)
  expect_equal(predict(conn, "long", as.list(strrep("x", 1:2000))), 1:2000)
  expect_identical(predict(conn, "entropy", list()), list())
})

test_that("environment variables, files and setup travel", {
  folder <- tempfile("clippernb-")
  dir.create(folder)
  before <- setwd(folder)
  on.exit(setwd(before))
  writeLines("a b", "words.txt")
  Sys.setenv(SET_HERE = "here")
  fn <- globally(function(inputs) {
    lapply(inputs, function(x) paste(Sys.getenv("SET_HERE"), Sys.getenv("GIVEN"), readLines("words.txt"), format(pi)))
  })
  setup <- globally(function() options(digits = 3))
  expect_error(create_endpoint(conn, "travel", fn, 1, environment_variables = "NOT_SET"), "NOT_SET")
  create_endpoint(conn, "travel", fn, 1, slo_micros = slo_micros, files = "words.txt",
                  environment_variables = c(GIVEN = "given"), compare_sample = FALSE, setup = setup)
  expect_equal(predict(conn, "travel", 1), "here given a b 3.14")
  expect_error(build_and_deploy_model(conn, "travel", 2, fn, 1, setup = function(digits) 1), "it takes digits")
})

test_that("classes of the session travel", {
  globally({
    setClass("Square", slots = c(side = "numeric"))
    setGeneric("area", function(shape) standardGeneric("area"))
    setMethod("area", "Square", function(shape) shape@side^2)
  })
  create_endpoint(conn, "areas", globally(function(inputs) lapply(inputs, function(x) area(new("Square", side = x)))), 1,
                  slo_micros = slo_micros)
  expect_equal(predict(conn, "areas", 3), 9)
})
