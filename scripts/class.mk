# What a class does around the steps: look at the machine, record results, check what was understood. Included by the Makefile.

##@ The class: recording and checking
.PHONY: doctor record report export class-report quiz progress record-server record-collect
doctor: ## whether this machine is fit for the steps, with real captures; what to do where it is not
	@MAKE='$(MAKE)' scripts/doctor.sh
record: build ## writes your own run into the guide of STEP, between its markers; again whenever you like
	@MAKE='$(MAKE)' CPU_PROFILE='$(CPU_PROFILE)' HEAP_PROFILE='$(HEAP_PROFILE)' scripts/record.sh $(STEP)
record-server: build # a server of its own, loaded, and its profiles: for steps 3 and 6 when there are none yet
	@scripts/class/serve.sh server
record-collect: build # rounds of profiles for step 8
	@scripts/class/serve.sh collect
report: build ## one page of all recorded steps: profiles/report/report.html
	@scripts/report.sh
export: ## one file with your results, to hand in
	@scripts/export.sh
class-report: ## one page of a class from the files of make export in DIR
	@scripts/class-report.sh '$(DIR)'
quiz: build ## questions about STEP, checked against your own profile
	@CPU_PROFILE='$(CPU_PROFILE)' HEAP_PROFILE='$(HEAP_PROFILE)' scripts/quiz.sh $(STEP)
progress: ## which steps are recorded, done and open
	@scripts/progress.sh
## STEP=1                  0 to 8
## LANG_=en                or ja: the language of the guide
## NAME=                   with export: what you are called in the class's page
## FORCE=1                 with record: replaces what somebody wrote between the markers
LANG_ ?= $(if $(filter ja%,$(LC_ALL)$(LANG)),ja,en)
export LANG_ NAME FORCE
