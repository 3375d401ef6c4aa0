// What a stream must give: a queue of what it took, in order, and the claims that every cell must keep to.
//
// Parts are put in at one side and taken at the other, several at once where a cell joins or splits beats. The first
// part of a beat is its least significant one.
//
// Width:  bits of a part.
// Depth:  parts that the cell may hold, at least Push and Pop.
// Push:   parts of a beat that is put in.
// Pop:    parts of a beat that is taken.
`default_nettype none

module queue_model #(
  parameter int unsigned Width = 8,
  parameter int unsigned Depth = 2,
  parameter int unsigned Push = 1,
  parameter int unsigned Pop = 1,
  localparam int unsigned LevelWidth = $clog2(Depth + 1)
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,
  input  wire                   checked_i,  // there has been a reset

  input  wire                   push_i,
  input  wire  [Push*Width-1:0] data_i,
  input  wire                   pop_i,
  input  wire  [Pop*Width-1:0]  popped_i,  // what the cell offers

  output wire  [LevelWidth-1:0]       level_o,  // parts inside
  output wire  [Depth-1:0][Width-1:0] parts_o   // the oldest is part 0
);

  logic [LevelWidth-1:0] level_q;
  logic [Depth-1:0][Width-1:0] parts_q;
  assign level_o = level_q;
  assign parts_o = parts_q;

  wire [LevelWidth-1:0] left = level_q - (pop_i ? LevelWidth'(Pop) : '0);

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      level_q <= '0;
    end else begin
      level_q <= left + (push_i ? LevelWidth'(Push) : '0);
      if (pop_i) begin
        for (int unsigned i = 0; i + Pop < Depth; i++) parts_q[i] <= parts_q[i+Pop];
      end
      for (int unsigned i = 0; i < Depth; i++) begin
        for (int unsigned part = 0; part < Push; part++) begin
          if (push_i && 32'(left) + part == i) parts_q[i] <= data_i[part*Width+:Width];
        end
      end
    end
  end

  always_comb begin
    if (checked_i && rst_ni) begin
      within_depth : assert (32'(level_q) <= Depth);
      nothing_lost : assert (!push_i || 32'(left) + Push <= Depth);
      nothing_invented : assert (!pop_i || 32'(level_q) >= Pop);
      in_order : assert (!pop_i || popped_i == parts_q[Pop-1:0]);
    end
  end

endmodule

`default_nettype wire
