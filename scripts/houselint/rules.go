package houselint

// rules are the rules of the house, each with the reason for it.
var rules = []Rule{
	{"function-import", "Functions are deployed and scaled alone; one that imports another ships both and breaks with either. Copy five lines, or move them to shared.", functionImport},
	{"layers", "Imports of shared point downwards, so that a reader may stop at any level and a change knows whom it can reach.", layers},
	{"cloud-import", "The product runs on Cloud Run, on Lambda and on a laptop: only mains and the adapters named here know a platform.", cloudImport},
	{"huma-import", "Handlers are plain functions over typed inputs; the framework behind shared/api can be replaced as long as it stays behind it.", humaImport},
	{"env-read", "Configuration is one struct, refused whole at the start; a variable read elsewhere is neither documented nor checked.", envRead},
	{"db-connect", "A connection opened beside shared/db carries no tenant, no budget and no time limit.", dbConnect},
	{"standin-import", "A stand-in of a cloud service in a deployed binary is a way around the service.", standinImport},
	{"testonly-import", "What serves tests alone makes and drops databases; production never links it.", testonlyImport},
	{"sql-in-store", "All statements of a function stand in its store.go, where a reviewer reads every one for its tenant.", sqlInStore},
	{"panic", "A request that panics answers 500 and hides its cause; return an error. In functions and the router only Must functions, for values known when compiling, may panic.", noPanic},
	{"init", "Code that runs before main cannot be configured, tested or ordered. The one init of a function registers it with the framework.", noInit},
	{"goroutine", "On Cloud Run the CPU stops after the response: work that outlives its request is lost. Leave an outbox message.", noGoroutine},
	{"test-sleep", "A test that sleeps is slow when it passes and flaky when the machine is busy: poll the condition.", testSleep},
	{"test-skip", "A skipped test proves nothing and reads as if it did.", testSkip},
	{"package-name", "A package named for nothing attracts everything: name it for the noun it is about.", packageName},
}
