// streaming_data_width_converter: the narrow parts of all beats come out as they went in, in order, the least significant
// of a wide beat first; the narrow side moves a beat in every cycle.
`default_nettype none

module streaming_data_width_converter_properties #(
  parameter int unsigned InputWidth = 1,
  parameter int unsigned OutputWidth = 4
) (
  input wire                  clk_i,
  input wire                  rst_ni,
  input wire                  in_valid_i,
  input wire [InputWidth-1:0] in_data_i,
  input wire                  out_ready_i
);

  localparam int unsigned Part = (InputWidth < OutputWidth) ? InputWidth : OutputWidth;
  localparam int unsigned Push = InputWidth / Part;
  localparam int unsigned Pop = OutputWidth / Part;
  // joining: a wide beat that is offered, and all parts but the last of the next; splitting: what is left of a wide beat,
  // and two parts in the register stage
  localparam int unsigned Holds = (Pop > 1) ? 2 * Pop - 1 : (Push > 1) ? Push + 2 : 2;
  localparam int unsigned LevelWidth = $clog2(Holds + 1);

  wire in_ready, out_valid;
  wire [OutputWidth-1:0] out_data;

  streaming_data_width_converter #(
    .InputWidth(InputWidth),
    .OutputWidth(OutputWidth)
  ) u_cell (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .in_valid_i(in_valid_i),
    .in_ready_o(in_ready),
    .in_data_i(in_data_i),
    .out_valid_o(out_valid),
    .out_ready_i(out_ready_i),
    .out_data_o(out_data)
  );

  logic checked_q = 1'b0;
  always_ff @(posedge clk_i) if (!rst_ni) checked_q <= 1'b1;

  wire [LevelWidth-1:0] level;
  wire [Holds-1:0][Part-1:0] parts;

  queue_model #(
    .Width(Part),
    .Depth(Holds),
    .Push(Push),
    .Pop(Pop)
  ) u_queue (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .push_i(in_valid_i && in_ready),
    .data_i(in_data_i),
    .pop_i(out_valid && out_ready_i),
    .popped_i(out_data),
    .level_o(level),
    .parts_o(parts)
  );

  handshake #(
    .Width(OutputWidth),
    .MaxWait((Push > 1) ? 1 : 0)
  ) u_output (
    .clk_i(clk_i),
    .rst_ni(rst_ni),
    .checked_i(checked_q),
    .valid_i(out_valid),
    .ready_i(out_ready_i),
    .data_i(out_data),
    .inside_i(32'(level) >= Pop)
  );

  if (Pop > 1) begin : gen_widen
    localparam int unsigned Held = OutputWidth - InputWidth;
    wire [31:0] joined = 32'(u_cell.gen_widen.part_q);
    wire [31:0] offered = out_valid ? Pop : 0;
    always_comb begin
      if (checked_q && rst_ni) begin
        room_is_used : assert (in_ready || 32'(level) == Holds);
        level_is_counted : assert (32'(level) == joined + offered);
        parts_are_few : assert (joined < Pop);
        last_is_known : assert (u_cell.gen_widen.last_q == (joined == Pop - 1));
        wide_beat : assert (!out_valid || out_data == parts[Pop-1:0]);
      end
    end
    for (genvar i = 0; i < Pop - 1; i++) begin : gen_part
      // parts are shifted in from above: the youngest is the highest
      always_comb begin
        if (checked_q && rst_ni) begin
          part_is_kept :
          assert (i >= joined || u_cell.gen_widen.held_q[Held-32'(Part)*(joined-i)+:Part] == parts[offered+i]);
        end
      end
    end
  end else if (Push > 1) begin : gen_narrow
    wire [31:0] given = 32'(u_cell.gen_narrow.part_q);
    wire [31:0] left = u_cell.gen_narrow.held_valid_q ? Push - given : 0;
    wire [31:0] behind = 32'(u_cell.gen_narrow.u_spill_register.out_valid_q) +
                         32'(u_cell.gen_narrow.u_spill_register.spill_valid_q);
    always_comb begin
      if (checked_q && rst_ni) begin
        room_is_used : assert (in_ready || 32'(level) > 1);
        level_is_counted : assert (32'(level) == left + behind);
        parts_are_few : assert (given < Push && (given == 0 || u_cell.gen_narrow.held_valid_q));
        last_is_known : assert (u_cell.gen_narrow.last_q == (given == Push - 1));
        output_fills_first :
        assert (u_cell.gen_narrow.u_spill_register.out_valid_q || !u_cell.gen_narrow.u_spill_register.spill_valid_q);
        free_without_a_second : assert (u_cell.gen_narrow.u_spill_register.spill_free_q != u_cell.gen_narrow.u_spill_register.spill_valid_q);
        first_part : assert (behind == 0 || u_cell.gen_narrow.u_spill_register.out_q == parts[0]);
        second_part : assert (behind != 2 || u_cell.gen_narrow.u_spill_register.spill_q == parts[1]);
      end
    end
    for (genvar i = 0; i < Push; i++) begin : gen_part
      always_comb begin
        if (checked_q && rst_ni) begin
          part_is_kept : assert (i >= left || u_cell.gen_narrow.held_q[Part*(given+i)+:Part] == parts[behind+i]);
        end
      end
    end
  end else begin : gen_equal
    wire [1:0] behind = 2'(u_cell.gen_equal.u_spill_register.out_valid_q) +
                        2'(u_cell.gen_equal.u_spill_register.spill_valid_q);
    always_comb begin
      if (checked_q && rst_ni) begin
        room_is_used : assert (in_ready || level == 2'd2);
        level_is_counted : assert (level == behind);
        output_fills_first :
        assert (u_cell.gen_equal.u_spill_register.out_valid_q || !u_cell.gen_equal.u_spill_register.spill_valid_q);
        free_without_a_second : assert (u_cell.gen_equal.u_spill_register.spill_free_q != u_cell.gen_equal.u_spill_register.spill_valid_q);
        first_beat : assert (behind == '0 || u_cell.gen_equal.u_spill_register.out_q == parts[0]);
        second_beat : assert (behind != 2'd2 || u_cell.gen_equal.u_spill_register.spill_q == parts[1]);
      end
    end
  end

endmodule

`default_nettype wire
