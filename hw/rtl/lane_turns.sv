// Lanes that take turns with what comes behind them: the values of a beat leave Lanes / Turns at a time, the first lanes
// first, in the Turns cycles after it came. Nothing in here stops: a beat comes Turns cycles or more after the one before.
//
// Lanes: values of a beat.
// Turns: cycles that they take, 2 to 64, divides Lanes.
// Width: bits of a value.
`default_nettype none

module lane_turns #(
  parameter int unsigned Lanes = 2,
  parameter int unsigned Turns = 2,
  parameter int unsigned Width = 8,
  localparam int unsigned Group = Lanes / Turns * Width
) (
  input  wire                   clk_i,
  input  wire                   rst_ni,

  input  wire                   valid_i,
  input  wire [Lanes*Width-1:0] data_i,

  output wire                   valid_o,
  output wire [Group-1:0]       data_o
);

  if (Turns < 2 || Turns > 64 || Lanes % Turns != 0 || Width < 1) begin : gen_check
    $error("%m: Turns must be in 2 to 64 and divide Lanes, and Width at least 1");
  end

  localparam int unsigned TurnWidth = $clog2(Turns);
  logic [TurnWidth-1:0] turn_q;
  logic valid_q;
  logic [Group-1:0] data_q;
  logic [(Turns-1)*Group-1:0] waiting_q;
  wire [5:0] turn = 6'(turn_q);

  // a tree of choices: of four groups, of four of these, and of up to four of those
  localparam int unsigned Fours = (Turns + 3) / 4;
  localparam int unsigned Sixteens = (Turns + 15) / 16;
  wire [Turns*Group-1:0] groups = {waiting_q, data_i[Group-1:0]};
  wire [Fours*Group-1:0] fours;
  wire [Sixteens*Group-1:0] sixteens;
  wire [Group-1:0] chosen;
  for (genvar f = 0; f < Fours; f++) begin : gen_four
    localparam int unsigned Count = (Turns - 4 * f > 4) ? 4 : Turns - 4 * f;
    lane_choice #(
      .Count(Count),
      .Width(Group)
    ) u_choice (
      .which_i(turn[1:0]),
      .values_i(groups[4*f*Group+:Count*Group]),
      .value_o(fours[f*Group+:Group])
    );
  end
  for (genvar s = 0; s < Sixteens; s++) begin : gen_sixteen
    localparam int unsigned Count = (Fours - 4 * s > 4) ? 4 : Fours - 4 * s;
    lane_choice #(
      .Count(Count),
      .Width(Group)
    ) u_choice (
      .which_i(turn[3:2]),
      .values_i(fours[4*s*Group+:Count*Group]),
      .value_o(sixteens[s*Group+:Group])
    );
  end
  lane_choice #(
    .Count(Sixteens),
    .Width(Group)
  ) u_choice (
    .which_i(turn[5:4]),
    .values_i(sixteens),
    .value_o(chosen)
  );

  always_ff @(posedge clk_i) begin
    if (!rst_ni) begin
      turn_q <= '0;
      valid_q <= 1'b0;
    end else begin
      valid_q <= valid_i || turn_q != '0;
      if (valid_i || turn_q != '0) turn_q <= (turn_q == TurnWidth'(Turns - 1)) ? '0 : turn_q + 1'b1;
    end
    if (valid_i) waiting_q <= data_i[Lanes*Width-1:Group];
    data_q <= chosen;
  end
  assign valid_o = valid_q;
  assign data_o = data_q;

endmodule

`default_nettype wire
