// accelerator_shell: every word from memory reaches the network once and in order, every word of the network memory, and
// while LOAD is set every word the weight stream, whole or in parts; nothing is taken or offered while the network is in
// reset, which lasts eight cycles at least after RESET; the last word of every BATCH-th frame is marked, and no other; and
// every register is what went through the ports and was written: a read gives it, a write changes those that can be written
// and is refused elsewhere. Counters follow the ports by the cycles that the delays below name.
//
// The handshakes of AXI4-Lite are those of axi_lite_slave. Words in flight are lost where the network is reset.
`default_nettype none

module accelerator_shell_properties #(
  parameter int unsigned InputBytes = 1,
  parameter int unsigned OutputBytes = 1,
  parameter int unsigned InputWords = 3,
  parameter int unsigned OutputWords = 2,
  parameter int unsigned WeightWords = 0,
  parameter int unsigned OverflowFlags = 1,
  parameter bit Debug = 1'b0
) (
  input wire                     clk_i,
  input wire                     rst_ni,
  input wire [11:0]              awaddr_i,
  input wire                     awvalid_i,
  input wire [31:0]              wdata_i,
  input wire [3:0]               wstrb_i,
  input wire                     wvalid_i,
  input wire                     bready_i,
  input wire [11:0]              araddr_i,
  input wire                     arvalid_i,
  input wire                     rready_i,
  input wire                     in_valid_i,
  input wire [InputBytes*8-1:0]  in_data_i,
  input wire [InputBytes-1:0]    in_keep_i,
  input wire                     in_last_i,
  input wire                     out_ready_i,
  input wire                     core_in_ready_i,
  input wire                     core_out_valid_i,
  input wire [OutputBytes*8-1:0] core_out_data_i,
  input wire [OverflowFlags-1:0] overflow_i,
  input wire                     weights_ready_i,
  input wire                     weights_loaded_i
);

  wire in_ready, out_valid, out_last, core_rst_n, core_in_valid, core_out_ready, weights_valid;
  wire [OutputBytes*8-1:0] out_data;
  wire [OutputBytes-1:0] out_keep;
  wire [InputBytes*8-1:0] core_in_data;
  wire [31:0] weights_data;

  localparam bit [127:0] ConfigHash = 128'h0123_4567_89AB_CDEF_F0E1_D2C3_B4A5_9687;

  accelerator_shell #(
    .InputBytes(InputBytes),
    .OutputBytes(OutputBytes),
    .InputWords(InputWords),
    .OutputWords(OutputWords),
    .ConfigHash(ConfigHash),
    .OverflowFlags(OverflowFlags),
    .Debug(Debug),
    .WeightWords(WeightWords)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .awaddr_i(awaddr_i),
    .awvalid_i(awvalid_i),
    .awready_o(),
    .wdata_i(wdata_i),
    .wstrb_i(wstrb_i),
    .wvalid_i(wvalid_i),
    .wready_o(),
    .bresp_o(),
    .bvalid_o(),
    .bready_i(bready_i),
    .araddr_i(araddr_i),
    .arvalid_i(arvalid_i),
    .arready_o(),
    .rdata_o(),
    .rresp_o(),
    .rvalid_o(),
    .rready_i(rready_i),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready),
    .in_data_i(in_data_i),
    .in_keep_i(in_keep_i),
    .in_last_i(in_last_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data),
    .out_keep_o(out_keep),
    .out_last_o(out_last),
    .core_rst_no(core_rst_n),
    .core_in_valid_o(core_in_valid),
    .core_in_ready_i(core_in_ready_i),
    .core_in_data_o(core_in_data),
    .core_out_valid_i(core_out_valid_i),
    .core_out_ready_o(core_out_ready),
    .core_out_data_i(core_out_data_i),
    .overflow_i(overflow_i),
    .weights_valid_o(weights_valid),
    .weights_ready_i(weights_ready_i),
    .weights_data_o(weights_data),
    .weights_loaded_i(weights_loaded_i)
  );

  // the first reset lasts three cycles at least: registers that follow others by a cycle have none of their own
  logic checked_q = 1'b0;
  logic [1:0] in_reset_q = 2'd0;
  always_ff @(posedge clk_i) begin
    in_reset_q <= rst_ni ? 2'd0 : (in_reset_q == 2'd3) ? 2'd3 : in_reset_q + 2'd1;
    if (in_reset_q == 2'd3) checked_q <= 1'b1;
  end

  // -- what is written to the registers, and read of them

  localparam bit [11:0] AddressControl = 12'h018;
  localparam bit [11:0] AddressBatch = 12'h020;
  localparam bit [11:0] AddressLock = 12'h02C;
  localparam bit [11:0] AddressCyclesLo = 12'h030;
  localparam bit [11:0] LastAddress = 12'h050;

  wire write = u_cell.u_axi_lite_slave.write_o;
  wire [11:0] write_address = u_cell.u_axi_lite_slave.write_address_o;
  wire [31:0] write_data = u_cell.u_axi_lite_slave.write_data_o;
  wire accepted = u_cell.u_axi_lite_slave.write_accept_i;
  wire read = u_cell.u_axi_lite_slave.read_o;
  wire [11:0] read_address = u_cell.u_axi_lite_slave.read_address_o;
  wire [31:0] read_data = u_cell.u_axi_lite_slave.read_data_i;

  wire control = write && write_address == AddressControl && accepted;
  wire batch = write && write_address == AddressBatch && write_data != '0;
  wire frees = write && write_address == AddressLock && write_data == '0;
  wire settled = u_cell.u_axi_lite_slave.settled_q;  // a write is there from the cycle before on
  wire read_settled = u_cell.u_axi_lite_slave.read_settled_q;
  wire told = u_cell.u_axi_lite_slave.read_q;  // the cycle after a read, in which read_data is taken

  // what a reset and a new batch do, they do a cycle later
  logic clear_q, batch_written_q;
  always_ff @(posedge clk_i) begin
    clear_q <= control && write_data[0];
    batch_written_q <= batch;
  end

  // -- reset

  logic reset_q, load_q;
  logic [3:0] released_q;  // cycles since RESET became 0, up to 8
  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      reset_q <= 1'b0;
      load_q <= 1'b0;
      released_q <= '0;
    end else begin
      if (control) begin
        reset_q <= write_data[0];
        load_q <= WeightWords > 0 && write_data[1];
      end
      if (reset_q) released_q <= '0;
      else if (released_q != 4'd8) released_q <= released_q + 1'b1;
    end
  end

  // -- input: words taken, frames of them

  wire take = in_valid_i && in_ready && !load_q;
  logic [31:0] in_words_q, frames_in_q;
  wire in_end = in_words_q == InputWords - 1;
  logic misaligned_q;
  always_ff @(posedge clk_i) begin
    if (!core_rst_n) begin
      in_words_q <= '0;
      frames_in_q <= '0;
      misaligned_q <= 1'b0;
    end else if (take) begin
      in_words_q <= in_end ? '0 : in_words_q + 1;
      if (in_end) frames_in_q <= frames_in_q + 1;
      // a transfer may end with a whole last word of a frame only
      if (in_last_i && (!in_end || in_keep_i != '1)) misaligned_q <= 1'b1;
    end
  end

  wire [1:0] in_level;
  wire [1:0][InputBytes*8-1:0] in_parts;
  queue_model #(
    .Width(InputBytes * 8),
    .Depth(2)
  ) u_in (
    .clk_i(clk_i),
    .rst_ni(core_rst_n),
    .checked_i(checked_q),
    .push_i(take),
    .data_i(in_data_i),
    .pop_i(core_in_valid && core_in_ready_i),
    .popped_i(core_in_data),
    .level_o(in_level),
    .parts_o(in_parts)
  );
  handshake #(
    .Width(InputBytes * 8)
  ) u_core_in (
    .clk_i(clk_i),
    .rst_ni(core_rst_n),
    .checked_i(checked_q),
    .valid_i(core_in_valid),
    .ready_i(core_in_ready_i),
    .data_i(core_in_data),
    .inside_i(in_level != '0)
  );

  // -- output: a word is marked as it comes from the network

  wire give = core_out_valid_i && core_out_ready;
  logic [31:0] out_words_q, batch_q, frames_left_q, given_words_q, frames_out_q;
  wire out_end = out_words_q == OutputWords - 1;
  wire given_end = given_words_q == OutputWords - 1;
  always_ff @(posedge clk_i) begin
    if (!core_rst_n) out_words_q <= '0;
    else if (give) out_words_q <= out_end ? '0 : out_words_q + 1;
    if (!core_rst_n) begin
      given_words_q <= '0;
      frames_out_q <= '0;
    end else if (out_valid && out_ready_i) begin
      given_words_q <= given_end ? '0 : given_words_q + 1;
      if (given_end) frames_out_q <= frames_out_q + 1;
    end
    if (!rst_ni || clear_q) begin
      batch_q <= 32'd1;
      frames_left_q <= '0;
    end else if (batch_written_q) begin
      batch_q <= write_data;
      frames_left_q <= write_data - 1;
    end else if (core_rst_n && give && out_end) begin
      frames_left_q <= ((frames_left_q == '0) ? batch_q : frames_left_q) - 1;
    end
  end

  wire [1:0] out_level;
  wire [1:0][OutputBytes*8:0] out_parts;
  queue_model #(
    .Width(OutputBytes * 8 + 1),
    .Depth(2)
  ) u_out (
    .clk_i(clk_i),
    .rst_ni(core_rst_n),
    .checked_i(checked_q),
    .push_i(give),
    .data_i({out_end && frames_left_q == '0, core_out_data_i}),
    .pop_i(out_valid && out_ready_i),
    .popped_i({out_last, out_data}),
    .level_o(out_level),
    .parts_o(out_parts)
  );
  handshake #(
    .Width(OutputBytes * 8 + 1)
  ) u_out_offer (
    .clk_i(clk_i),
    .rst_ni(core_rst_n),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i({out_last, out_data}),
    .inside_i(out_level != '0)
  );

  wire [1:0] in_kept = 2'(u_cell.u_input.out_valid_q) + 2'(u_cell.u_input.spill_valid_q);
  wire [1:0] out_kept = 2'(u_cell.u_output.out_valid_q) + 2'(u_cell.u_output.spill_valid_q);
  wire second_out_ends = given_words_q == ((OutputWords > 1) ? OutputWords - 2 : 0);
  wire busy = in_words_q != '0 || frames_in_q != frames_out_q;

  // -- what is counted: of the cycle before, BUSY of two cycles before

  wire read_cycles = read && read_address == AddressCyclesLo;
  logic was_busy_q, was_told_busy_q, was_taken_q, starved_q, in_stalled_q, out_stalled_q;
  logic [31:0] input_starved_q, input_stalled_q, output_stalled_q, cycles_hi_q;
  logic [63:0] cycles_q;
  logic [OverflowFlags-1:0] overflow_q;
  always_ff @(posedge clk_i) begin
    was_busy_q <= busy;
    was_told_busy_q <= was_busy_q;
    was_taken_q <= take;
    starved_q <= in_words_q != '0 && in_ready && !in_valid_i;
    in_stalled_q <= in_valid_i && !in_ready;
    out_stalled_q <= out_valid && !out_ready_i;
    if (!core_rst_n) begin
      input_starved_q <= '0;
      input_stalled_q <= '0;
      output_stalled_q <= '0;
      cycles_q <= '0;
      cycles_hi_q <= '0;
      overflow_q <= '0;
    end else begin
      input_starved_q <= input_starved_q + 32'(starved_q);
      input_stalled_q <= input_stalled_q + 32'(in_stalled_q);
      output_stalled_q <= output_stalled_q + 32'(out_stalled_q);
      cycles_q <= cycles_q + 64'(was_told_busy_q);
      if (read_cycles) cycles_hi_q <= cycles_q[63:32];
      overflow_q <= overflow_q | overflow_i;
    end
  end
  wire [31:0] overflow_flags;
  if (OverflowFlags > 32) begin : gen_merge_flags
    assign overflow_flags = {|(overflow_q >> 31), overflow_q[30:0]};
  end else begin : gen_flags
    assign overflow_flags = 32'(overflow_q);
  end

  logic lock_q;
  always_ff @(posedge clk_i) begin
    if (!rst_ni || clear_q) lock_q <= 1'b0;
    else if (read && read_address == AddressLock && !lock_q) lock_q <= 1'b1;
    else if (frees) lock_q <= 1'b0;
  end

  // -- what a read gives: of the cycle of the read; whether a frame is inside, of the cycle before

  wire loaded = WeightWords > 0 && weights_loaded_i;
  logic [31:0] register;
  always_comb begin
    case (read_address)
      12'h000: register = 32'h4132_5131;
      12'h004: register = 32'h0001_0001;
      12'h008: register = ConfigHash[127:96];
      12'h00C: register = ConfigHash[95:64];
      12'h010: register = ConfigHash[63:32];
      12'h014: register = ConfigHash[31:0];
      AddressControl: register = {30'd0, load_q, reset_q};
      12'h01C: register = {27'd0, loaded, Debug, overflow_q != '0, misaligned_q, was_busy_q};
      AddressBatch: register = batch_q;
      12'h024: register = frames_in_q;
      12'h028: register = frames_out_q;
      AddressLock: register = {31'd0, lock_q};
      AddressCyclesLo: register = cycles_q[31:0];
      12'h034: register = cycles_hi_q;
      12'h038: register = input_starved_q;
      12'h03C: register = input_stalled_q;
      12'h040: register = output_stalled_q;
      12'h044: register = overflow_flags;
      12'h048: register = InputWords;
      12'h04C: register = OutputWords;
      LastAddress: register = WeightWords;
      default: register = '0;
    endcase
  end
  logic [31:0] was_register_q;
  logic was_known_q;
  always_ff @(posedge clk_i) begin
    was_register_q <= register;
    was_known_q <= read_address <= LastAddress && read_address[1:0] == '0;
  end
  wire frame_inside = (was_busy_q || was_taken_q || (in_valid_i && !load_q)) && core_rst_n && !reset_q;
  wire loads = WeightWords > 0 && write_data[1:0] == 2'b10;

  always_comb begin
    network_is_in_reset : assert (in_reset_q == 2'd0 || !core_rst_n);
    if (checked_q && rst_ni) begin
      reset_lasts : assert (!core_rst_n || released_q == 4'd8);
      reset_ends : assert (core_rst_n || reset_q || released_q != 4'd8);
      nothing_moves_in_reset : assert (core_rst_n || (!in_ready && !out_valid));
      whole_words_leave : assert (out_keep == '1);
      load_needs_weights : assert (WeightWords > 0 || !weights_valid);
      registers_are_told : assert (!told || read_data == was_register_q);
      only_registers_are_read : assert (!told || u_cell.u_axi_lite_slave.read_accept_i == was_known_q);
      writes_that_are_accepted :
      assert (!write || accepted == ((write_address == AddressControl && !(loads && frame_inside)) || batch || frees));
      frames_are_not_loads :
      assert (!control || write_data[1:0] != 2'b10 || WeightWords == 0 || !core_rst_n || reset_q ||
              (in_words_q == '0 && !take && !was_busy_q));
    end
    if (checked_q) begin
      // what the registers are, in reset too
      reset_register : assert (u_cell.reset_q == reset_q && u_cell.load_q == load_q);
      writes_are_decoded :
      assert (!settled || ({u_cell.to_control_q, u_cell.to_batch_q, u_cell.to_lock_q, u_cell.high_zero_q, u_cell.low_zero_q,
                            u_cell.low_one_q} ==
                           {write_address == AddressControl, write_address == AddressBatch, write_address == AddressLock,
                            write_data[31:16] == '0, write_data[15:0] == '0, write_data[15:0] == 16'd1}));
      after_a_batch : assert (!batch_written_q || (u_cell.high_zero_q == (write_data[31:16] == '0) &&
                                                   u_cell.low_one_q == (write_data[15:0] == 16'd1)));
      late_registers : assert (u_cell.clear_q == clear_q && u_cell.write_batch_q == batch_written_q);
      reads_are_decoded :
      assert (!read_settled || ({u_cell.from_lock_q, u_cell.from_cycles_q, u_cell.known_q, u_cell.from_transfer_q,
                                 u_cell.from_counted_q, u_cell.from_other_q} ==
                                {read_address == AddressLock, read_address == AddressCyclesLo,
                                 read_address <= LastAddress && read_address[1:0] == '0,
                                 read_address[11:4] == AddressBatch[11:4] && read_address[1:0] == '0,
                                 read_address[11:4] == 8'h03 && read_address[1:0] == '0,
                                 read_address[11:7] == '0 && read_address[1:0] == '0}));
      settled_is_there : assert (!settled || (u_cell.u_axi_lite_slave.have_address_q && u_cell.u_axi_lite_slave.have_data_q));
      read_settled_is_there : assert (!read_settled || u_cell.u_axi_lite_slave.have_read_q);
      busy_is_kept : assert ((u_cell.was_inside_q || u_cell.low_differs_q || u_cell.high_differs_q) == was_busy_q);
      taken_is_kept : assert (u_cell.taken_q == was_taken_q);
      input_is_counted : assert (u_cell.frames_in_q == frames_in_q && 32'(u_cell.in_word_q) == in_words_q);
      output_is_counted : assert (u_cell.frames_out_q == frames_out_q && 32'(u_cell.out_word_q) == out_words_q);
      ends_are_found :
      assert (u_cell.in_inside_q == (in_words_q != '0) && u_cell.in_frame_end_q == in_end && u_cell.core_frame_end_q == out_end);
      misalignment_is_kept : assert (u_cell.misaligned_q == misaligned_q);
      counts_follow :
      assert ({u_cell.busy_q, u_cell.starved_q, u_cell.in_stalled_q, u_cell.out_stalled_q} ==
              {was_told_busy_q, starved_q, in_stalled_q, out_stalled_q});
      starved_is_counted : assert (u_cell.input_starved_q == input_starved_q);
      input_stalled_is_counted : assert (u_cell.input_stalled_q == input_stalled_q);
      output_stalled_is_counted : assert (u_cell.output_stalled_q == output_stalled_q);
      cycles_are_counted : assert (u_cell.cycles_q == cycles_q && u_cell.cycles_hi_q == cycles_hi_q);
      overflow_register : assert (u_cell.overflow_q == overflow_q);
      lock_register : assert (u_cell.lock_q == lock_q);
      hold_counts : assert (reset_q || 32'(released_q) + 32'(u_cell.hold_q) == ((released_q == 4'd8) ? 8 : 7));
    end
  end

  always_comb begin
    if (checked_q && rst_ni && core_rst_n) begin
      room_is_used : assert (in_ready || load_q || in_level == 2'd2);
      room_for_results : assert (core_out_ready || out_level == 2'd2);

      // what the registers are
      words_are_of_frames : assert (in_words_q < InputWords && out_words_q < OutputWords && given_words_q < OutputWords);
      in_level_is_counted : assert (in_level == in_kept);
      in_fills_first : assert (u_cell.u_input.out_valid_q || !u_cell.u_input.spill_valid_q);
      in_free_without_a_second : assert (u_cell.u_input.spill_free_q != u_cell.u_input.spill_valid_q);
      first_in : assert (in_kept == '0 || u_cell.u_input.out_q == in_parts[0]);
      second_in : assert (in_kept != 2'd2 || u_cell.u_input.spill_q == in_parts[1]);
      out_level_is_counted : assert (out_level == out_kept);
      out_fills_first : assert (u_cell.u_output.out_valid_q || !u_cell.u_output.spill_valid_q);
      out_free_without_a_second : assert (u_cell.u_output.spill_free_q != u_cell.u_output.spill_valid_q);
      first_out : assert (out_kept == '0 || u_cell.u_output.out_q == {out_parts[0][OutputBytes*8], given_end, out_parts[0][OutputBytes*8-1:0]});
      second_out : assert (out_kept != 2'd2 || u_cell.u_output.spill_q == {out_parts[1][OutputBytes*8], second_out_ends, out_parts[1][OutputBytes*8-1:0]});
      words_on_the_way : assert ((given_words_q + 32'(out_level)) % OutputWords == out_words_q);
    end
  end
  always_comb begin
    if (checked_q && rst_ni) begin
      batch_register : assert (u_cell.batch_q == batch_q && u_cell.batch_one_q == (batch_q == 32'd1));
      frames_left_register : assert (u_cell.frames_left_q == frames_left_q + 1 && u_cell.last_frame_q == (frames_left_q == '0));
    end
  end

  // the converter is proven alone: here, that it gets every word of a load and no other, and that it drives the port
  if (WeightWords > 0) begin : gen_weights
    wire to_converter = u_cell.gen_weights.u_weights.in_valid_i && u_cell.gen_weights.u_weights.in_ready_o;
    always_comb begin
      if (checked_q && rst_ni && core_rst_n) begin
        loads_go_to_the_converter : assert (to_converter == (in_valid_i && in_ready && load_q));
        loads_are_whole : assert (!to_converter || u_cell.gen_weights.u_weights.in_data_i == in_data_i);
        weights_are_of_it :
        assert (weights_valid == u_cell.gen_weights.u_weights.out_valid_o &&
                weights_data == u_cell.gen_weights.u_weights.out_data_o &&
                weights_ready_i == u_cell.gen_weights.u_weights.out_ready_i);
      end
    end
    always_comb converter_is_reset : assert (u_cell.gen_weights.u_weights.rst_ni == core_rst_n);
  end

endmodule

`default_nettype wire
