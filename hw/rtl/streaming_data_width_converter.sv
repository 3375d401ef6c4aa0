// Joins narrow beats into wide ones, or splits wide ones, the least significant part first. No padding.
//
// The narrow side moves a beat in every cycle. in_ready_o does not depend on out_ready_i within a cycle.
//
// InputWidth:   bits of an input beat.
// OutputWidth:  bits of an output beat; one width is a multiple of the other.
// Pixels:       neighbours in a beat of either side, each with its share of the bits, which are joined or split each by
//               itself; divides the narrower width.
`default_nettype none

module streaming_data_width_converter #(
  parameter int unsigned InputWidth = 8,
  parameter int unsigned OutputWidth = 32,
  parameter int unsigned Pixels = 1
) (
  input  wire                    clk_i,
  input  wire                    rst_ni,

  input  wire                    in_valid_i,
  output wire                    in_ready_o,
  input  wire  [InputWidth-1:0]  in_data_i,

  output wire                    out_valid_o,
  input  wire                    out_ready_i,
  output wire  [OutputWidth-1:0] out_data_o
);

  localparam bit Widen = OutputWidth > InputWidth;
  localparam int unsigned Ratio = Widen ? OutputWidth / InputWidth : InputWidth / OutputWidth;
  localparam int unsigned PartWidth = (Ratio > 1) ? $clog2(Ratio) : 1;

  if (InputWidth < 1 || OutputWidth != (Widen ? InputWidth * Ratio : InputWidth / Ratio) ||
      InputWidth != (Widen ? OutputWidth / Ratio : OutputWidth * Ratio)) begin : gen_check
    $error("%m: one of InputWidth and OutputWidth must be a multiple of the other");
  end

  localparam int unsigned NarrowWidth = Widen ? InputWidth : OutputWidth;
  localparam int unsigned WideWidth = Widen ? OutputWidth : InputWidth;
  localparam int unsigned FieldWidth = NarrowWidth / Pixels;  // of a pixel, in a part

  if (Pixels < 1 || NarrowWidth % Pixels != 0) begin : gen_check_pixels
    $error("%m: Pixels must be at least 1 and divide the narrower of InputWidth and OutputWidth");
  end

  // a wide beat, part by part, and pixel by pixel as it is at the port
  wire [WideWidth-1:0] parts, pixels;
  if (Widen) begin : gen_pixels
    for (genvar p = 0; p < Pixels; p++) begin : gen_pixel
      for (genvar k = 0; k < Ratio; k++) begin : gen_part
        assign pixels[(p*Ratio+k)*FieldWidth+:FieldWidth] = parts[(k*Pixels+p)*FieldWidth+:FieldWidth];
      end
    end
    assign out_data_o = pixels;
  end else begin : gen_parts
    for (genvar p = 0; p < Pixels; p++) begin : gen_pixel
      for (genvar k = 0; k < Ratio; k++) begin : gen_part
        assign parts[(k*Pixels+p)*FieldWidth+:FieldWidth] = pixels[(p*Ratio+k)*FieldWidth+:FieldWidth];
      end
    end
    assign pixels = in_data_i;
  end

  if (Ratio == 1) begin : gen_equal
    spill_register #(
      .Width(InputWidth)
    ) u_spill_register (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .in_valid_i(in_valid_i),
      .in_ready_o(in_ready_o),
      .in_data_i(parts),
      .out_valid_o(out_valid_o),
      .out_ready_i(out_ready_i),
      .out_data_o(out_data_o)
    );
  end else if (Widen) begin : gen_widen
    // all parts but the last, shifted in from above; the last goes to the output register with them
    localparam int unsigned HeldWidth = OutputWidth - InputWidth;

    logic [PartWidth-1:0] part_q;
    logic last_q;  // it is the last
    logic [HeldWidth-1:0] held_q;
    logic [OutputWidth-1:0] out_q;
    logic out_valid_q;

    wire take = in_valid_i && in_ready_o;
    wire [OutputWidth-1:0] joined = {in_data_i, held_q};

    assign in_ready_o = !last_q || !out_valid_q;
    assign out_valid_o = out_valid_q;
    assign parts = out_q;

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        part_q <= '0;
        last_q <= 1'b0;
        out_valid_q <= 1'b0;
      end else begin
        if (take) begin
          part_q <= last_q ? '0 : part_q + 1'b1;
          last_q <= part_q == PartWidth'(Ratio - 2);
        end
        out_valid_q <= (take && last_q) || (out_valid_q && !out_ready_i);
      end
      if (take) held_q <= joined[OutputWidth-1:InputWidth];
      if (take && last_q) out_q <= joined;
    end
  end else begin : gen_narrow
    logic [PartWidth-1:0] part_q;
    logic last_q;  // it is the last
    logic [InputWidth-1:0] held_q;
    logic held_valid_q;

    wire part_ready;
    wire give = held_valid_q && part_ready;

    assign in_ready_o = !held_valid_q || (last_q && part_ready);

    always_ff @(posedge clk_i) begin
      if (!rst_ni) begin
        part_q <= '0;
        last_q <= 1'b0;
        held_valid_q <= 1'b0;
      end else begin
        if (give) begin
          part_q <= last_q ? '0 : part_q + 1'b1;
          last_q <= part_q == PartWidth'(Ratio - 2);
        end
        if (in_ready_o) held_valid_q <= in_valid_i;
      end
      if (in_ready_o) held_q <= parts;
    end

    spill_register #(
      .Width(OutputWidth)
    ) u_spill_register (
      .clk_i(clk_i),
      .rst_ni(rst_ni),
      .in_valid_i(held_valid_q),
      .in_ready_o(part_ready),
      .in_data_i(held_q[32'(part_q)*OutputWidth+:OutputWidth]),
      .out_valid_o(out_valid_o),
      .out_ready_i(out_ready_i),
      .out_data_o(out_data_o)
    );
  end

endmodule

`default_nettype wire
