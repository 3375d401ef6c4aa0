# Stands in for Vitis HLS below its Tcl commands: it knows those that our scripts call and no others, refuses what Vitis
# HLS would refuse of them as far as that shows, and leaves a report where Vitis HLS leaves it.
# Runs the script SCRIPT. Every call goes to the file RECORD as a line of JSON. BEHAVIOUR is a dictionary:
#
#   headers  the options with which g++ reads the sources and finds the headers of Vitis HLS; "" if they are not read
#   failing  the command that fails, "" for none
#   message  what it says then
#   without  report: none is left; or an element of the report that is left out
#   LUT      those in the report
#   latency  the cycles in the report

fconfigure stdout -buffering line
set record [open $env(RECORD) a]
set behaviour $env(BEHAVIOUR)
array set state {project {} top {} files {} cflags {} solution {} part {} period {}}

proc quoted {text} {
  return "\"[string map [list \\ \\\\ \" \\\" \n \\n \t \\t] $text]\""
}

proc of {key} { return [dict get $::behaviour $key] }

# A command that fails prints what is wrong itself.
proc hls_error {text} {
  puts "ERROR: $text"
  return -code error "Pre-synthesis failed."
}

# Defines a command that is recorded; its body sees its words as `words`.
proc hls_command {name body} {
  proc $name args "
    puts \$::record \"\\\[\[join \[lmap word \[concat [list $name] \$args\] {quoted \$word}\] ,\]\\\]\"
    flush \$::record
    set words \$args
    if {\[of failing\] eq {$name}} { hls_error \[of message\] }
    $body"
}

hls_command open_project {
  set ::state(project) [lindex $words end]
  if {"-reset" in $words} { file delete -force $::state(project) }
  file mkdir $::state(project)
}
hls_command set_top { set ::state(top) [lindex $words 0] }
hls_command add_files {
  set at [lsearch -exact $words -cflags]
  if {$at >= 0} { set ::state(cflags) [lindex $words $at+1] }
  foreach path [lindex $words end] {
    if {![file isfile $path]} { hls_error "\[HLS 200-642\] Cannot find source file '$path'" }
    lappend ::state(files) $path
  }
}
hls_command open_solution { set ::state(solution) [file join $::state(project) [lindex $words end]] }
hls_command set_part { set ::state(part) [lindex $words 0] }
hls_command create_clock { set ::state(period) [dict get $words -period] }

hls_command csynth_design {
  foreach need {project top files solution part period} {
    if {$::state($need) eq ""} { hls_error "\[HLS 200-70\] no $need is set" }
  }
  set tops 0
  foreach path $::state(files) {
    set stream [open $path]
    incr tops [regexp "\nvoid $::state(top)\\(" [read $stream]]
    close $stream
    set options [concat $::state(cflags) [of headers] -D__SYNTHESIS__ -Wno-unknown-pragmas -fsyntax-only]
    set command [list g++ {*}$options $path]
    if {[of headers] ne "" && [catch {exec {*}$command} told]} {
      puts $told
      hls_error "\[HLS 200-1715\] Encountered problem during source synthesis"
    }
  }
  if {$tops != 1} { hls_error "\[HLS 214-157\] Top function not found: there is no function named '$::state(top)'" }
  foreach flag [lsearch -all -inline $::state(cflags) -I*] {
    if {![file isdirectory [string range $flag 2 end]]} { hls_error "\[HLS 207-5\] no folder of $flag" }
  }
  if {[of without] eq "report"} return
  set report [file join $::state(solution) syn report csynth.xml]
  file mkdir [file dirname $report]
  set stream [open $report w]
  puts $stream [report]
  close $stream
}

proc element {name content} {
  if {$name eq [of without]} { return "" }
  return "<$name>$content</$name>\n"
}

proc elements {pairs} {
  set text "\n"
  foreach {name value} $pairs { append text [element $name $value] }
  return $text
}

# The elements of a csynth.xml of Vitis HLS, those for single loops and modules apart.
proc report {} {
  set latency [of latency]
  set interval [expr {[string is integer $latency] ? $latency + 1 : $latency}]
  set used [elements [list BRAM_18K 3 DSP 2 FF 2345 LUT [of LUT] URAM 0]]
  set available [elements {BRAM_18K 288 DSP 1248 FF 234240 LUT 117120 URAM 64}]
  return "<profile>[elements [list \
    ReportVersion [elements {Version 2022.2}] \
    UserAssignments [elements [list unit ns ProductFamily zynquplus Part $::state(part) TopModelName $::state(top) \
      TargetClockPeriod $::state(period) ClockUncertainty 1.35]] \
    PerformanceEstimates [elements [list PipelineType no \
      SummaryOfTimingAnalysis [elements {unit ns EstimatedClockPeriod 3.512}] \
      SummaryOfOverallLatency [elements [list unit {clock cycles} Best-caseLatency $latency \
        Average-caseLatency $latency Worst-caseLatency $latency Interval-min $interval Interval-max $interval]]]] \
    AreaEstimates [elements [list Resources $used AvailableResources $available]]]]</profile>"
}

if {[catch {source $env(SCRIPT)} message]} {
  puts $message
  exit 1
}
puts "the script did not exit: Vitis HLS stays in its interactive mode"
exit 2
