# Generated. Makes finn-accel.bit and finn-accel.hwh for the Pynq-Z2 in Vivado:
#
#   vivado -mode batch -source build.tcl -tclargs RTL [OUTPUT [WORK [JOBS]]]
#
# RTL is the folder of the accelerator: *.sv, *.v and *.mem files with the module a2q_accelerator. OUTPUT gets the results,
# this script's folder unless it is given; WORK the Vivado project, ./vivado_project; JOBS runs go at once, 2.
#
# OUTPUT/result.txt says what came of it, a line "key value" each, and OUTPUT/worst_paths.txt which paths are the slowest.
# It is implemented by several strategies in turn, until one keeps the clock. Where none does, the best one's bitstream is
# set aside in OUTPUT/too_slow, the script prints "A2Q TIMING" with the slack and exits with 3. All other
# errors exit with 1; a strategy that fails is one only where all of them do.

proc read_text {path} {
  set stream [open $path]
  fconfigure $stream -encoding utf-8
  set text [read $stream]
  close $stream
  return $text
}

proc write_text {path text} {
  set stream [open $path w]
  fconfigure $stream -encoding utf-8 -translation lf
  puts -nonewline $stream $text
  close $stream
}

# Copies the accelerator. Memory files are named relative to their folder there; a synthesis run has a folder of its own
# and would take a memory that it does not find for zeros, so that the copies name the whole path.
proc copy_sources {from to} {
  file mkdir $to
  set names {}
  foreach memory [lsort [glob -nocomplain -directory $from *.mem]] {
    set copy [file normalize [file join $to [file tail $memory]]]
    file copy -force $memory $copy
    lappend names "\"[file tail $memory]\"" "\"$copy\""
    # a parameter called …Files has what the names of several begin with
    if {[regexp {^(.*Files)_[0-9_]+\.mem$} [file tail $memory] -> beginning]} {
      lappend names "\"$beginning\"" "\"[file normalize [file join $to $beginning]]\""
    }
  }
  foreach source [lsort [concat [glob -nocomplain -directory $from *.sv] [glob -nocomplain -directory $from *.v]]] {
    write_text [file join $to [file tail $source]] [string map $names [read_text $source]]
  }
  if {![file exists [file join $to a2q_accelerator.v]]} {
    error "$from holds no a2q_accelerator.v; give the folder of the accelerator's RTL"
  }
}

proc newest_board_part {pattern} {
  set found [get_board_parts -quiet -latest_file_version $pattern]
  if {[llength $found] == 0} {
    error "Vivado knows no board $pattern. Install its board files: from the Vivado Store (Tools menu), or from the\
      board's maker into a folder that Vivado_init.tcl names with set_param board.repoPaths"
  }
  return [lindex [lsort -dictionary $found] end]
}

# The IP of this version, or the newest there is of it.
proc find_ip {vlnv} {
  if {[llength [get_ipdefs -quiet -all $vlnv]] > 0} {
    return $vlnv
  }
  set found [get_ipdefs -quiet [join [lreplace [split $vlnv :] end end *] :]]
  if {[llength $found] == 0} {
    error "Vivado has no IP $vlnv, nor any other version of it"
  }
  return [get_property VLNV [lindex [lsort -dictionary $found] end]]
}

# Waits for a run; where it failed, prints the errors of all runs, as it may have failed with one that it needs.
# Vivado would only say which.
proc finish_run {name} {
  wait_on_run -quiet $name
  set run [get_runs $name]
  if {[get_property PROGRESS $run] eq "100%"} {
    return
  }
  foreach each [get_runs] {
    set log [file join [get_property DIRECTORY $each] runme.log]
    if {[file exists $log]} {
      foreach line [split [read_text $log] \n] {
        if {[string match "ERROR:*" $line]} {
          puts $line
        }
      }
    }
  }
  error "the run $name ended with the status [get_property STATUS $run]"
}

# The worst slack in nanoseconds, 0 where nothing is timed.
proc worst_slack {kind} {
  set paths [get_timing_paths -quiet $kind -max_paths 1]
  if {[llength $paths] == 0} {
    return 0.0
  }
  return [get_property SLACK [lindex $paths 0]]
}

proc package_accelerator {sources work} {
  create_project -force package [file join $work package] -part xc7z020clg400-1
  add_files -norecurse [lsort [concat [glob -directory $sources *.v] [glob -nocomplain -directory $sources *.sv]]]
  set memories [lsort [glob -nocomplain -directory $sources *.mem]]
  if {[llength $memories] > 0} {
    add_files -norecurse $memories
    set_property file_type {Memory Initialization Files} [get_files $memories]
  }
  set_property top a2q_accelerator [current_fileset]
  update_compile_order -fileset sources_1
  ipx::package_project -root_dir [file join $work ip] -vendor a2q -library pipeline \
    -taxonomy /UserIP -import_files -force
  set core [ipx::current_core]
  set_property name a2q_accelerator $core
  set_property version 1.0 $core
  set_property display_name a2q_accelerator $core
  set_property description {A neural network between two streams of a DMA, with registers on AXI4-Lite} $core
  # its clock is whatever drives it: without this the packager's 100 MHz is held against it
  set_property ipi_drc {ignore_freq_hz true} $core
  associate_interface s_axi_control $core
  associate_interface s_axis_0 $core
  associate_interface m_axis_0 $core
  ipx::associate_bus_interfaces -clock ap_clk -reset ap_rst_n $core
  ipx::create_xgui_files $core
  ipx::update_checksums $core
  ipx::save_core $core
  close_project
}

proc associate_interface {name core} {
  if {[llength [ipx::get_bus_interfaces -quiet $name -of_objects $core]] == 0} {
    error "Vivado did not recognize the interface $name of a2q_accelerator"
  }
  ipx::associate_bus_interfaces -busif $name -clock ap_clk $core
}

proc make_block_design {} {
  create_bd_design a2q

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:processing_system7:5.5] ps
  apply_bd_automation -rule xilinx.com:bd_rule:processing_system7 \
    -config {make_external "FIXED_IO, DDR" apply_board_preset "1" Master "Disable" Slave "Disable"} [get_bd_cells ps]
  set_property -dict [list \
    CONFIG.PCW_USE_M_AXI_GP0 1 \
    CONFIG.PCW_USE_M_AXI_GP1 0 \
    CONFIG.PCW_USE_S_AXI_HP0 1 \
    CONFIG.PCW_S_AXI_HP0_DATA_WIDTH 64 \
    CONFIG.PCW_EN_CLK0_PORT 1 \
    CONFIG.PCW_EN_RST0_PORT 1 \
    CONFIG.PCW_FPGA_FCLK0_ENABLE 1 \
    CONFIG.PCW_FPGA_FCLK1_ENABLE 0 \
    CONFIG.PCW_FPGA_FCLK2_ENABLE 0 \
    CONFIG.PCW_FPGA_FCLK3_ENABLE 0 \
    CONFIG.PCW_FPGA0_PERIPHERAL_FREQMHZ 100 \
  ] [get_bd_cells ps]

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:clk_wiz:6.0] clk_wiz_0
  set_property -dict [list \
    CONFIG.PRIM_SOURCE No_buffer \
    CONFIG.CLKOUT1_REQUESTED_OUT_FREQ 100.000 \
    CONFIG.USE_LOCKED true \
    CONFIG.USE_RESET true \
    CONFIG.RESET_TYPE ACTIVE_LOW \
    CONFIG.RESET_PORT resetn \
  ] [get_bd_cells clk_wiz_0]

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:axi_dma:7.1] axi_dma_0
  set_property -dict [list \
    CONFIG.c_include_sg 0 \
    CONFIG.c_sg_include_stscntrl_strm 0 \
    CONFIG.c_sg_length_width 26 \
    CONFIG.c_addr_width 32 \
    CONFIG.c_include_mm2s 1 \
    CONFIG.c_include_mm2s_dre 0 \
    CONFIG.c_m_axi_mm2s_data_width 32 \
    CONFIG.c_m_axis_mm2s_tdata_width 32 \
    CONFIG.c_mm2s_burst_size 64 \
    CONFIG.c_include_s2mm 1 \
    CONFIG.c_include_s2mm_dre 0 \
    CONFIG.c_m_axi_s2mm_data_width 32 \
    CONFIG.c_s2mm_burst_size 64 \
  ] [get_bd_cells axi_dma_0]

  create_bd_cell -type ip -vlnv [find_ip a2q:pipeline:a2q_accelerator:1.0] a2q_accelerator_0

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:smartconnect:1.0] control_interconnect
  set_property -dict [list \
    CONFIG.NUM_SI 1 \
    CONFIG.NUM_MI 2 \
  ] [get_bd_cells control_interconnect]

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:smartconnect:1.0] memory_interconnect
  set_property -dict [list \
    CONFIG.NUM_SI 2 \
    CONFIG.NUM_MI 1 \
  ] [get_bd_cells memory_interconnect]

  create_bd_cell -type ip -vlnv [find_ip xilinx.com:ip:proc_sys_reset:5.0] system_reset

  connect_bd_intf_net [get_bd_intf_pins ps/M_AXI_GP0] [get_bd_intf_pins control_interconnect/S00_AXI]
  connect_bd_intf_net [get_bd_intf_pins control_interconnect/M00_AXI] [get_bd_intf_pins axi_dma_0/S_AXI_LITE]
  connect_bd_intf_net [get_bd_intf_pins control_interconnect/M01_AXI] [get_bd_intf_pins a2q_accelerator_0/s_axi_control]
  connect_bd_intf_net [get_bd_intf_pins axi_dma_0/M_AXI_MM2S] [get_bd_intf_pins memory_interconnect/S00_AXI]
  connect_bd_intf_net [get_bd_intf_pins axi_dma_0/M_AXI_S2MM] [get_bd_intf_pins memory_interconnect/S01_AXI]
  connect_bd_intf_net [get_bd_intf_pins memory_interconnect/M00_AXI] [get_bd_intf_pins ps/S_AXI_HP0]
  connect_bd_intf_net [get_bd_intf_pins axi_dma_0/M_AXIS_MM2S] [get_bd_intf_pins a2q_accelerator_0/s_axis_0]
  connect_bd_intf_net [get_bd_intf_pins a2q_accelerator_0/m_axis_0] [get_bd_intf_pins axi_dma_0/S_AXIS_S2MM]
  connect_bd_net [get_bd_pins ps/FCLK_CLK0] \
    [get_bd_pins clk_wiz_0/clk_in1]
  connect_bd_net [get_bd_pins clk_wiz_0/clk_out1] \
    [get_bd_pins ps/M_AXI_GP0_ACLK] \
    [get_bd_pins ps/S_AXI_HP0_ACLK] \
    [get_bd_pins axi_dma_0/s_axi_lite_aclk] \
    [get_bd_pins axi_dma_0/m_axi_mm2s_aclk] \
    [get_bd_pins axi_dma_0/m_axi_s2mm_aclk] \
    [get_bd_pins a2q_accelerator_0/ap_clk] \
    [get_bd_pins control_interconnect/aclk] \
    [get_bd_pins memory_interconnect/aclk] \
    [get_bd_pins system_reset/slowest_sync_clk]
  connect_bd_net [get_bd_pins ps/FCLK_RESET0_N] \
    [get_bd_pins clk_wiz_0/resetn] \
    [get_bd_pins system_reset/ext_reset_in]
  connect_bd_net [get_bd_pins clk_wiz_0/locked] \
    [get_bd_pins system_reset/dcm_locked]
  connect_bd_net [get_bd_pins system_reset/peripheral_aresetn] \
    [get_bd_pins axi_dma_0/axi_resetn] \
    [get_bd_pins a2q_accelerator_0/ap_rst_n] \
    [get_bd_pins control_interconnect/aresetn] \
    [get_bd_pins memory_interconnect/aresetn]

  assign_bd_address -offset 0x40400000 -range 0x00010000 -force \
    -target_address_space [get_bd_addr_spaces ps/Data] \
    [get_bd_addr_segs axi_dma_0/S_AXI_LITE/*]
  assign_bd_address -offset 0x43C00000 -range 0x00001000 -force \
    -target_address_space [get_bd_addr_spaces ps/Data] \
    [get_bd_addr_segs a2q_accelerator_0/s_axi_control/*]
  assign_bd_address -offset 0x00000000 -range 0x20000000 -force \
    -target_address_space [get_bd_addr_spaces axi_dma_0/Data_MM2S] \
    [get_bd_addr_segs ps/S_AXI_HP0/HP0_DDR_LOWOCM]
  leave_out_others axi_dma_0/Data_MM2S ps/S_AXI_HP0/HP0_DDR_LOWOCM
  assign_bd_address -offset 0x00000000 -range 0x20000000 -force \
    -target_address_space [get_bd_addr_spaces axi_dma_0/Data_S2MM] \
    [get_bd_addr_segs ps/S_AXI_HP0/HP0_DDR_LOWOCM]
  leave_out_others axi_dma_0/Data_S2MM ps/S_AXI_HP0/HP0_DDR_LOWOCM

  validate_bd_design
  save_bd_design
}

# What else the port of `segment` reaches (on-chip memory, flash, the upper DRAM, which the DMA's 32 bits do not address) is
# not for the DMA; Vivado wants to be told so.
proc leave_out_others {space segment} {
  foreach other [get_bd_addr_segs -quiet [file dirname $segment]/*] {
    if {[file tail $other] ne [file tail $segment] && \
        [catch {exclude_bd_addr_seg -target_address_space [get_bd_addr_spaces $space] $other} message]} {
      puts "WARNING: \[A2Q\] $other stays open to $space: $message"
    }
  }
}

proc synthesize {jobs} {
  # All in one run, where retiming reaches the accelerator: of a run for each IP, only what is around them would have it.
  set_property synth_checkpoint_mode None [get_files a2q.bd]
  set wrapper [make_wrapper -files [get_files a2q.bd] -top]
  add_files -norecurse $wrapper
  set_property top a2q_wrapper [current_fileset]
  update_compile_order -fileset sources_1
  set_property STEPS.SYNTH_DESIGN.ARGS.RETIMING true [get_runs synth_1]
  launch_runs synth_1 -jobs $jobs
  finish_run synth_1
}

# The run that implements by `strategy`, the first or a further one.
proc new_run {name strategy} {
  if {$name ne "impl_1"} {
    create_run $name -parent_run synth_1 -flow [get_property FLOW [get_runs impl_1]]
  }
  set run [get_runs $name]
  set_property strategy $strategy $run
  foreach step {PHYS_OPT_DESIGN POST_ROUTE_PHYS_OPT_DESIGN} {
    set_property STEPS.$step.IS_ENABLED true $run
    set_property STEPS.$step.ARGS.DIRECTIVE AggressiveExplore $run
  }
}

# Implements by one strategy after the other until one keeps the clock. Opens the best and gives its strategy, its slack to
# setup and to hold, and "strategy setup hold" of all that were tried, or "strategy failed". One that violates hold comes
# after all that do not, as no clock mends it.
proc implement {jobs} {
  set tries {}
  set best {}
  set failures {}
  foreach strategy {Performance_ExtraTimingOpt Performance_ExplorePostRoutePhysOpt Performance_NetDelay_low} {
    set name impl_[expr {[llength $tries] + 1}]
    new_run $name $strategy
    launch_runs $name -jobs $jobs
    if {[catch {finish_run $name} message]} {
      puts "WARNING: \[A2Q\] $strategy is given up: $message"
      lappend tries "$strategy failed"
      lappend failures $message
      continue
    }
    open_run $name
    set slack [list [worst_slack -setup] [worst_slack -hold]]
    lappend tries [concat $strategy $slack]
    set least [tcl::mathfunc::min {*}$slack]
    set holds [expr {[lindex $slack 1] >= 0}]
    puts "A2Q TRY $strategy setup [lindex $slack 0] ns, hold [lindex $slack 1] ns"
    if {$best eq "" || $holds > [lindex $best 0] || ($holds == [lindex $best 0] && $least > [lindex $best 1])} {
      set best [list $holds $least $name $strategy $slack]
    }
    if {$least >= 0} {
      break
    }
    close_design
  }
  if {$best eq ""} {
    error [lindex $failures 0]
  }
  lassign $best holds least name strategy slack
  if {$least < 0} {
    open_run $name
  }
  return [list $strategy {*}$slack $tries]
}

# Of the ten worst paths of each of `kinds`, setup or hold, in a line each: that, slack, levels of logic, and the pins where
# they begin and end.
proc write_worst_paths {path kinds} {
  set lines {}
  foreach kind $kinds {
    foreach each [get_timing_paths -quiet -$kind -max_paths 10] {
      set facts [list $kind]
      foreach property {SLACK LOGIC_LEVELS STARTPOINT_PIN ENDPOINT_PIN} {
        lappend facts [get_property $property $each]
      }
      lappend lines [join $facts "\t"]
    }
  }
  write_text $path [join $lines \n]\n
}

# The frequency in megahertz of the clock at a pin of the design that is open.
proc clock_at {pin} {
  set clocks [get_clocks -quiet -of_objects [get_pins -quiet $pin]]
  if {[llength $clocks] != 1} {
    error "[llength $clocks] clocks come from $pin, expected 1"
  }
  return [format %.6f [expr {1000.0 / [get_property PERIOD [lindex $clocks 0]]}]]
}

# Writes the reports and result.txt.
proc write_reports {output board_part clock_mhz pl_clock_mhz strategy wns whs tries} {
  report_utilization -hierarchical -file [file join $output utilization.rpt]
  report_utilization -hierarchical -format xml -file [file join $output utilization.xml]
  report_timing_summary -file [file join $output timing_summary.rpt]
  set kinds [expr {$whs >= 0 ? "setup" : $wns < 0 ? "setup hold" : "hold"}]
  write_worst_paths [file join $output worst_paths.txt] $kinds
  write_text [file join $output result.txt] [join [list \
    "vivado [version -short]" \
    "board_part $board_part" \
    "clock_mhz $clock_mhz" \
    "pl_clock_mhz $pl_clock_mhz" \
    "strategy $strategy" \
    "wns_ns $wns" \
    "whs_ns $whs" \
    "tries [join $tries ", "]" \
  ] \n]\n
}

# Where the block design's output lies depends on the version: in gen since 2020.2.
proc copy_handoff {work target} {
  foreach area {gen srcs} {
    set folder [file join $work project a2q.$area sources_1 bd a2q hw_handoff]
    if {[file exists [file join $folder a2q.hwh]]} {
      file copy -force [file join $folder a2q.hwh] $target
      return
    }
  }
  error "Vivado wrote no a2q.hwh"
}

# Gives the exit status.
proc build {rtl output work jobs} {
  if {![file isdirectory $rtl]} {
    error "there is no folder $rtl; give the folder of the accelerator's RTL"
  }
  file mkdir $output $work
  set sources [file join $work rtl]
  copy_sources $rtl $sources
  set board_part [newest_board_part tul.com.tw:pynq-z2:part0:*]
  package_accelerator $sources $work

  create_project -force a2q [file join $work project] -part xc7z020clg400-1
  set_property board_part $board_part [current_project]
  set_property target_language Verilog [current_project]
  set_property ip_repo_paths [file join $work ip] [current_project]
  update_ip_catalog
  # "could not open $readmem data file" is a warning otherwise, and the memory is all zeros
  set_msg_config -id {Synth 8-4445} -new_severity ERROR
  make_block_design
  set pl_clock_mhz [get_property CONFIG.PCW_ACT_FPGA0_PERIPHERAL_FREQMHZ \
    [get_bd_cells ps]]
  synthesize $jobs
  lassign [implement $jobs] strategy wns whs tries

  set clock_mhz [clock_at a2q_i/clk_wiz_0/clk_out1]
  write_reports $output $board_part $clock_mhz $pl_clock_mhz $strategy $wns $whs $tries
  if {$wns < 0 || $whs < 0} {
    set aside [file join $output too_slow]
    file mkdir $aside
    copy_handoff $work [file join $aside finn-accel.hwh]
    write_bitstream -force [file join $aside finn-accel.bit]
    puts "A2Q TIMING setup $wns ns, hold $whs ns at $clock_mhz MHz"
    return 3
  }
  copy_handoff $work [file join $output finn-accel.hwh]
  write_bitstream -force [file join $output finn-accel.bit]
  puts "A2Q DONE setup $wns ns, hold $whs ns at $clock_mhz MHz"
  return 0
}

if {[llength $argv] < 1 || [llength $argv] > 4} {
  puts "ERROR: vivado -mode batch -source build.tcl -tclargs RTL \[OUTPUT \[WORK \[JOBS\]\]\]"
  exit 1
}
set defaults [list "" [file dirname [file normalize [info script]]] vivado_project 2]
lassign [concat $argv [lrange $defaults [llength $argv] end]] rtl output work jobs
if {[catch {build [file normalize $rtl] [file normalize $output] [file normalize $work] $jobs} status]} {
  puts "ERROR: \[A2Q\] $status"
  exit 1
}
exit $status
