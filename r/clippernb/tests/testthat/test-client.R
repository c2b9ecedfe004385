skip_if_not_installed("curl")

conn <- start_clipper(paste0("test-client-", Sys.getpid()), clipper_query_port = 0, clipper_management_port = 0,
                      clipper_rpc_port = 0, query_token = TRUE, tls = TRUE)
on.exit(stop_clipper(conn))
client <- clipper_client(get_query_url(conn), token = get_query_token(conn), ca = get_tls_authority(conn))

test_that("a client answers every type as a connection does", {
  echo <- globally(function(inputs) lapply(inputs, function(x) {
    list(type = typeof(x), value = if (is.raw(x)) I(as.integer(x)) else I(x))
  }))
  inputs <- list(
    ints = list(1:3, -2147483647L, integer()), doubles = list(c(0.1 + 0.2, 5e-324), c(NA, NaN, Inf, -Inf), 3),
    strings = list("na\u00efve \"text\"", "NaN", "\"NaN\"\t", ""), bytes = list(as.raw(c(0, 255)), raw()),
    json = list(list(age = 22.5, tags = I("a"), x = c(NaN, -Inf, NA), note = NULL, s = "Infinity"), list(1, list()))
  )
  for (type in names(inputs)) {
    create_endpoint(conn, type, echo, inputs[[type]][[1]], slo_micros = slo_micros, compare_sample = FALSE)
    expected <- predictions(conn, type, inputs[[type]])
    found <- predictions(client, type, inputs[[type]])
    same <- setdiff(names(expected), c("latency_s", "query_id"))
    expect_identical(found[same], expected[same])
    expect_true(all(found$latency_s > 0))
    if (type != "json") expect_identical(predict(client, type, inputs[[type]][[1]]), predict(conn, type, inputs[[type]][[1]]))
  }
})

test_that("a client sends the rows of a data frame", {
  rows <- data.frame(x = c(1.5, NA, 1e-300), s = c("a", NA, ""), day = as.Date("2024-02-28") + 0:2)
  create_endpoint(conn, "rows", globally(function(rows) rows), rows, slo_micros = slo_micros)
  expect_identical(predict(client, "rows", rows), predict(conn, "rows", rows))
  expect_identical(predict(client, "json", rows), predict(conn, "json", rows))
})

test_that("many inputs are answered in order, in several requests", {
  found <- predictions(client, "doubles", as.list(as.numeric(1:1000)))
  expect_identical(vapply(found$output, function(output) output$value, 0), as.numeric(1:1000))
  expect_gt(length(unique(found$latency_s)), 1L)
  expect_identical(predict(client, "doubles", list()), list())
  expect_identical(lengths(clippernb:::parts_of(c("a", strrep("x", 2 * 1024^2), "b", "c"))), c(1L, 1L, 2L))
})

test_that("defaults, wrong inputs and unknown names are told as by a connection", {
  register_application(conn, "alone", "doubles", default_output = "-1", slo_micros = slo_micros)
  expect_warning(expect_identical(predict(client, "alone", 1), -1L), "not_linked")
  expect_identical(predictions(client, "alone", 1)$reason, "not_linked")
  bad <- c(as.list(as.numeric(1:300)), "text")
  told <- expect_error(predict(client, "doubles", bad), class = "InvalidInputError")
  expect_match(conditionMessage(told), "$.input_batch[300]", fixed = TRUE)
  expect_error(predict(client, "doubles", NA), "a vector of numbers")
  expect_error(predict(client, "nothing", 1), "Applications: alone", class = "ApplicationNotFoundError")
  expect_error(predict(client, "metrics", 1), class = "ApplicationNotFoundError")
  expect_error(predict(client, c("doubles", "ints"), 1), "one text", class = "InvalidNameError")
  expect_error(predict(client, "doubles", 1, version = 7), "7 does not exist", class = "InvalidInputError")
  expect_error(predict(client, "doubles", 1, timeout_s = 0), "timeout_s", class = "InvalidRequestError")
  expect_error(predict(client, "doubles", as.list(1:600), timeout_s = 0.001), class = "ClusterUnreachableError")
  unregister_application(conn, "alone")
  register_application(conn, "alone", "strings", default_output = "\"other\"", slo_micros = slo_micros)
  expect_warning(expect_identical(predict(client, "alone", "a"), "other"), "not_linked")
})

test_that("a client needs the token and the authority", {
  stranger <- clipper_client(get_query_url(conn), ca = get_tls_authority(conn))
  expect_error(predict(stranger, "doubles", 1), "token", class = "UnauthorizedError")
  expect_error(predict(clipper_client(get_query_url(conn), token = get_query_token(conn)), "doubles", 1), "certificate",
               class = "ClusterUnreachableError")
  expect_false(grepl(get_query_token(conn), paste(capture.output(print(client), str(unclass(client))), collapse = "")))
  path <- tempfile(fileext = ".pem")
  writeLines(get_tls_authority(conn), path)
  one <- clipper_client(paste0(get_query_url(conn), "/doubles/predict"), get_query_token(conn), ca = path)
  expect_identical(format(one), paste0("<clipper_client of ", get_query_url(conn), ">"))
  expect_identical(predict(one, "doubles", 1)$value, 1)
  expect_error(clipper_client("ftp://x"), "url must be", class = "InvalidRequestError")
  expect_error(clipper_client("http://x", ca = path), "ca is for https")
  expect_error(clipper_client("x", token = "a b"), "token must be")
  expect_error(clipper_client("x", ca = "/no/such.pem"), "no file")
  expect_error(predict(clipper_client("127.0.0.1:9"), "doubles", 1), "does not answer", class = "ClusterUnreachableError")
})
